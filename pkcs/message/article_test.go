package message

import "testing"

// A name of a body takes its article together with the word in front of it.
func TestArticle(t *testing.T) {
	for _, c := range []struct{ text, name, want string }{
		{"Sportello di {ente}", "Comune di Prova", "Sportello del Comune di Prova"},
		{"A {ente}, ufficio", "Comune di Prova", "Al Comune di Prova, ufficio"},
		{"scrivi a {ente} o da {ente}", "Provincia di Prova", "scrivi alla Provincia di Prova o dalla Provincia di Prova"},
		{"Il {ente} risponde; sul sito di {ente}", "Unione dei Comuni", "L'Unione dei Comuni risponde; sul sito dell'Unione dei Comuni"},
		{"Come il {ente} usa i dati", "Città metropolitana di Prova", "Come la Città metropolitana di Prova usa i dati"},
		{"Il {ente} risponde, su {ente}", "Sportello Uno", "Sportello Uno risponde, su Sportello Uno"},
		{"scheda {ente}: {ente}", "Comune di Prova", "scheda Comune di Prova: Comune di Prova"},
	} {
		if got := fill(Italian, c.text, "ente", c.name); got != c.want {
			t.Errorf("%q with %q: %q", c.text, c.name, got)
		}
	}
	if got := fill(English, "A {ente}", "ente", "Comune di Prova"); got != "A Comune di Prova" {
		t.Error(got)
	}
}
