// Package resident is a municipality's population as its registry office exports it: for
// each person what the certificates that self-certifications take the place of say (DPR
// 445/2000, art. 46 lett. a, b, c, e, f), and nothing else. Each ente has its own list.
package resident

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/citel-pa/citel/pkcs/profile"
)

// Data is what a record says. Dates are "2006-01-02"; an empty text is not known.
type Data struct {
	Code        string `json:"code"`
	Family      string `json:"family"`
	Given       string `json:"given"`
	Sex         string `json:"sex"` // M, F
	Born        string `json:"born"`
	BirthPlace  string `json:"birthPlace"` // municipality, or state abroad
	Address     string `json:"address"`
	CAP         string `json:"cap"`
	Citizenship string `json:"citizenship"`
	Civil       string `json:"civil"`    // a value of Civils
	Sheet       string `json:"sheet"`    // code of the family's sheet (DPR 223/1989, art. 21)
	Relation    string `json:"relation"` // to whom the sheet is headed
	Since       string `json:"since"`    // resident from
	Until       string `json:"until"`    // and until, for who has left or died
}

// Column of a file and the field of Data that it fills.
type Column struct {
	Name     string // in the file's head
	Field    string // stable name, also that of corrections
	Required bool   // each line has a value
	Optional bool   // the column may be missing
	Max      int    // characters
	at       func(*Data) *string
}

// Columns are those of a file, in the order in which they are documented.
var Columns = []Column{
	{"codice_fiscale", "code", true, false, 16, func(d *Data) *string { return &d.Code }},
	{"cognome", "family", true, false, 80, func(d *Data) *string { return &d.Family }},
	{"nome", "given", false, false, 80, func(d *Data) *string { return &d.Given }},
	{"sesso", "sex", true, false, 1, func(d *Data) *string { return &d.Sex }},
	{"data_nascita", "born", true, false, 10, func(d *Data) *string { return &d.Born }},
	{"luogo_nascita", "birth-place", true, false, 80, func(d *Data) *string { return &d.BirthPlace }},
	{"indirizzo", "address", true, false, 120, func(d *Data) *string { return &d.Address }},
	{"cap", "cap", true, false, 5, func(d *Data) *string { return &d.CAP }},
	{"cittadinanza", "citizenship", true, false, 60, func(d *Data) *string { return &d.Citizenship }},
	{"stato_civile", "civil", false, false, 40, func(d *Data) *string { return &d.Civil }},
	{"codice_famiglia", "sheet", true, false, 20, func(d *Data) *string { return &d.Sheet }},
	{"relazione", "relation", false, false, 60, func(d *Data) *string { return &d.Relation }},
	{"residente_dal", "since", false, true, 10, func(d *Data) *string { return &d.Since }},
	{"residente_fino_al", "until", false, true, 10, func(d *Data) *string { return &d.Until }},
}

// ColumnOf finds the column of a field.
func ColumnOf(field string) (Column, bool) {
	for _, c := range Columns {
		if c.Field == field {
			return c, true
		}
	}
	return Column{}, false
}

// Get gives a field's value, Set sets it.
func (d *Data) Get(field string) string {
	if c, ok := ColumnOf(field); ok {
		return *c.at(d)
	}
	return ""
}

// Set sets a field.
func (d *Data) Set(field, value string) {
	if c, ok := ColumnOf(field); ok {
		*c.at(d) = value
	}
}

// Name is family and given name as lists have them.
func (d *Data) Name() string { return strings.TrimSpace(d.Given + " " + d.Family) }

// Civils are the civil states. Their sentences are "registry.civil-<value>".
var Civils = []string{"single", "married", "civil-union", "widowed", "divorced", "union-widowed", "union-dissolved"}

var civilWords = map[string]string{
	"CELIBE": "single", "NUBILE": "single", "STATO LIBERO": "single", "LIBERO": "single", "LIBERA": "single", "CELIBE/NUBILE": "single",
	"CONIUGATO": "married", "CONIUGATA": "married", "CONIUGATO/A": "married",
	"UNITO CIVILMENTE": "civil-union", "UNITA CIVILMENTE": "civil-union", "UNITO/A CIVILMENTE": "civil-union",
	"VEDOVO": "widowed", "VEDOVA": "widowed", "VEDOVO/A": "widowed", "DIVORZIATO": "divorced", "DIVORZIATA": "divorced", "DIVORZIATO/A": "divorced",
	"STATO LIBERO A SEGUITO DI DECESSO DELLA PARTE UNITA CIVILMENTE": "union-widowed", "STATO LIBERO A SEGUITO DI SCIOGLIMENTO DELL'UNIONE": "union-dissolved",
}

// check cleans a value of a column; code says what is wrong, "" nothing. Sentences are
// "registry.bad-<code>", remedies "registry.do-<code>".
func (c Column) check(v string, now time.Time) (clean, code string) {
	v = tidy(v)
	limit := c.Max
	if c.Field == "civil" {
		limit = 100 // words of a table longer than what is kept
	}
	switch {
	case v == "" && c.Required:
		return "", "required"
	case v == "":
		return "", ""
	case utf8.RuneCountInString(v) > limit && c.Field != "code":
		return v, "long"
	}
	switch c.Field {
	case "code":
		cf, err := profile.ParseCodiceFiscale(v)
		if err != nil {
			return v, "code"
		}
		return string(cf), ""
	case "sex":
		if v = strings.ToUpper(v); v != "M" && v != "F" {
			return v, "sex"
		}
	case "cap":
		if len(v) != 5 || strings.Trim(v, "0123456789") != "" {
			return v, "cap"
		}
	case "born", "since", "until":
		day, ok := parseDay(v)
		switch {
		case !ok:
			return v, "date"
		case day.After(now) && c.Field != "until", now.Year()-day.Year() > 130:
			return v, "date-range"
		}
		return day.Format(time.DateOnly), ""
	case "civil":
		if slices.Contains(Civils, v) {
			return v, ""
		}
		x := civilWords[fold(v)]
		if x == "" {
			return v, "civil"
		}
		return x, ""
	}
	return v, ""
}

// parseDay takes 31/12/1980, 31-12-1980, 31.12.1980 and 1980-12-31.
func parseDay(v string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, "02/01/2006", "02-01-2006", "02.01.2006", "2/1/2006"} {
		if d, err := time.Parse(layout, v); err == nil {
			return d, true
		}
	}
	return time.Time{}, false
}

// odd tells what does not fit together and may be right all the same.
func (d *Data) odd(now time.Time) (field, code string) {
	cf := profile.CodiceFiscale(d.Code)
	if cf.Provisional() {
		return "", ""
	}
	born, _ := time.Parse(time.DateOnly, d.Born)
	if b := cf.Born(now); b.Format("0201") != born.Format("0201") || b.Year()%100 != born.Year()%100 {
		return "born", "odd-born"
	}
	if cf.Female() != (d.Sex == "F") {
		return "sex", "odd-sex"
	}
	return "", ""
}

// tidy takes control characters away, and spaces around and twice.
func tidy(s string) string {
	plain := true
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] > ' ' && s[i] < 0x7f || s[i] == ' ' && i > 0 && s[i-1] != ' ' && i < len(s)-1
	}
	if plain { // as most are
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// fold is how names are compared: upper case, without accents, one kind of apostrophe.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == '’' || r == '`' || r == '´':
			return '\''
		}
		return unicode.ToUpper(r)
	}, norm.NFD.String(s))
	return strings.Join(strings.Fields(s), " ")
}

// resides tells whether the record is of somebody who lives here on a day.
func (d *Data) resides(day string) bool { return d.Until == "" || d.Until >= day }
