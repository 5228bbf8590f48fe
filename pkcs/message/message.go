// Package message is the one catalogue of sentences that people see, Italian
// first, English second, keyed by stable codes. A file of catalogue/ belongs to
// one area ("wire", "validation", ...); a key is "area.code".
//
// The TypeScript client reads the very same files at build time.
package message

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"
)

//go:embed catalogue/*.json
var files embed.FS

// Lang is a language of the catalogue.
type Lang string

const (
	// Italian comes first.
	Italian Lang = "it"
	// English comes second.
	English Lang = "en"
)

// ParseLang reads a BCP 47 tag or a POSIX locale name ("en_GB.UTF-8"); what is
// not English is Italian, the catalogue's first language.
func ParseLang(tag string) Lang {
	if strings.HasPrefix(strings.ToLower(tag), "en") {
		return English
	}
	return Italian
}

type sentence map[Lang]string

var load = sync.OnceValue(func() map[string]sentence {
	all := make(map[string]sentence)
	entries, err := files.ReadDir("catalogue")
	if err != nil {
		panic(err) // embedded at build: cannot happen in a program that was tested
	}
	for _, e := range entries {
		data, err := files.ReadFile(path.Join("catalogue", e.Name()))
		if err != nil {
			panic(err)
		}
		var area map[string]sentence
		if err := json.Unmarshal(data, &area); err != nil {
			panic(fmt.Sprintf("message: %s: %v", e.Name(), err))
		}
		prefix := strings.TrimSuffix(e.Name(), ".json") + "."
		for code, s := range area {
			all[prefix+code] = s
		}
	}
	return all
})

// Text gives the sentence of a key ("wire.pin-wrong") with its {name}
// placeholders filled from args, which are name, value pairs; an Italian {ente} takes its
// article (article.go). An unknown key gives the key itself, so that nothing shown is ever empty.
func Text(lang Lang, key string, args ...any) string {
	s, ok := load()[key]
	if !ok {
		return key
	}
	text := s[lang]
	if text == "" {
		text = s[Italian]
	}
	return fill(lang, text, args...)
}

func fill(lang Lang, text string, args ...any) string {
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), fmt.Sprint(args[i+1]))
		if lang == Italian && args[i] == "ente" {
			text = article(text, "{ente}", fmt.Sprint(args[i+1]))
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Has tells whether the catalogue knows key in both languages.
func Has(key string) bool {
	s := load()[key]
	return s[Italian] != "" && s[English] != ""
}

// Keys lists the keys of one area, without its prefix.
func Keys(area string) []string {
	var keys []string
	for k := range load() {
		if code, ok := strings.CutPrefix(k, area+"."); ok {
			keys = append(keys, code)
		}
	}
	return keys
}
