package service

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is one key of a definition's text, as the code reads it.
type Key struct {
	Path   string   // "sections[].fields[].kind"
	Type   string   // "text", "words", "number", "yes-no", "list", "map", "group"
	Values []string // all that it may be, where that is fixed
}

// Words names a key for the sentence that explains it, "schema.<words>".
func (k Key) Words() string {
	if i := strings.LastIndex(k.Path, "when"); i > 0 {
		return strings.ReplaceAll(k.Path[i:], ".", "-") // the same wherever it stands
	}
	return strings.NewReplacer("[]", "", ".", "-").Replace(k.Path)
}

// Reference lists every key that a definition can have: out of the types that texts are
// read into, so that nothing in it is forgotten or made up.
func Reference() []Key {
	return keysOf(nil, "", reflect.TypeFor[Definition]())
}

// values are those of the checker.
var values = map[string][]string{
	"act": names(Istanza, Message, SelfCertification), "level": {"debole", "media", "forte"}, "signature": names(SignatureRequired, SignatureOptional, SignatureNone),
	"actors": {"citizen", "company", "professional"}, "mandates": {"minor", "ward", "company", "delegate"}, "term.silence": names(SilenceNone, SilenceConsent, SilenceRefusal), "preavviso": {"yes", "no"},
	"sections[].fields[].kind": names(kinds...), "sections[].fields[].prefill": Prefills, "ranking.ties[].first": names(Lowest, Highest),
}

func names[T ~string](all ...T) (out []string) {
	for _, x := range all {
		out = append(out, string(x))
	}
	return out
}

func keysOf(out []Key, path string, t reflect.Type) []Key {
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		k := Key{Path: strings.TrimPrefix(path+"."+name, ".")}
		k.Values = values[k.Path]
		x := t.Field(i).Type
		if x.Kind() == reflect.Pointer {
			x = x.Elem()
		}
		switch {
		case x == reflect.TypeFor[Words]():
			k.Type = "words"
		case x.Kind() == reflect.String:
			k.Type = "text"
		case x.Kind() == reflect.Int:
			k.Type = "number"
		case x.Kind() == reflect.Bool:
			k.Type = "yes-no"
		case x.Kind() == reflect.Map:
			k.Type = "map"
		case x.Kind() == reflect.Slice:
			k.Type = "list"
		case x.Kind() == reflect.Struct:
			k.Type = "group"
		default:
			panic(fmt.Sprintf("service: %s is of no type that texts have", k.Path)) // a test reads them all
		}
		out = append(out, k)
		if x.Kind() == reflect.Slice && x.Elem().Kind() == reflect.Struct {
			out = keysOf(out, k.Path+"[]", x.Elem())
		} else if k.Type == "group" {
			out = keysOf(out, k.Path, x)
		}
	}
	return out
}
