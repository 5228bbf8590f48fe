package message

import "strings"

// Italian joins a preposition with the article that the next word takes: "di" and "Comune
// di Prova" are "del Comune di Prova". A sentence of the catalogue writes the plain words,
// "di {ente}" or "il {ente}", and the name that comes in decides.

// nouns are the words that the names of public bodies begin with, and their article.
var nouns = map[string]string{ //nolint:gochecknoglobals // a table
	"comune": "il", "municipio": "il", "consorzio": "il", "libero": "il", "ministero": "il", "distretto": "il",
	"provincia": "la", "regione": "la", "città": "la", "comunità": "la", "camera": "la", "prefettura": "la",
	"unione": "l'", "azienda": "l'", "asl": "l'", "ente": "l'", "istituto": "l'", "agenzia": "l'", "università": "l'", "ordine": "l'", "autorità": "l'", "ufficio": "l'",
}

// joined are the forms of a preposition with il, la and l'.
var joined = map[string][3]string{ //nolint:gochecknoglobals // a table
	"il": {"il ", "la ", "l'"}, "di": {"del ", "della ", "dell'"}, "a": {"al ", "alla ", "all'"}, "da": {"dal ", "dalla ", "dall'"}, "su": {"sul ", "sulla ", "sull'"},
}

// article puts the word in front of a {name} together with the name's article. A name that
// begins with no known word has none: "di Prova", and "il " goes.
func article(text, placeholder, name string) string {
	first, _, _ := strings.Cut(strings.ToLower(name), " ")
	which := -1
	switch nouns[first] {
	case "il":
		which = 0
	case "la":
		which = 1
	case "l'":
		which = 2
	}
	for word, forms := range joined {
		form := word + " "
		if which >= 0 {
			form = forms[which]
		} else if word == "il" {
			form = ""
		}
		capital := form
		if form != "" {
			capital = strings.ToUpper(form[:1]) + form[1:]
		}
		text = replaceWord(text, word+" "+placeholder, form+placeholder)
		text = replaceWord(text, strings.ToUpper(word[:1])+word[1:]+" "+placeholder, capital+placeholder)
	}
	return text
}

// replaceWord replaces what begins at the beginning of a word: "da {ente}" and not
// "scheda {ente}".
func replaceWord(text, old, with string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, old)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i])
		if i == 0 || strings.ContainsRune(" \n(«\"'", rune(text[i-1])) || strings.HasSuffix(text[:i], "«") {
			b.WriteString(with)
		} else {
			b.WriteString(old)
		}
		text = text[i+len(old):]
	}
}
