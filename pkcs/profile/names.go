package profile

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// FamilyCode gives the three letters of a family name in a codice fiscale: consonants in
// their order, then vowels, then X (DM 23/12/1976 n. 13813).
func FamilyCode(name string) string {
	consonants, vowels := letters(name)
	return (consonants + vowels + "XXX")[:3]
}

// GivenCode gives those of a given name: of four or more consonants the first, third and
// fourth (DM 23/12/1976 n. 13813).
func GivenCode(name string) string {
	consonants, vowels := letters(name)
	if len(consonants) >= 4 {
		return consonants[:1] + consonants[2:4]
	}
	return (consonants + vowels + "XXX")[:3]
}

// letters splits a name into consonants and vowels in A to Z; accents are left out.
func letters(name string) (consonants, vowels string) {
	for _, r := range norm.NFD.String(strings.ToUpper(name)) {
		switch {
		case unicode.Is(unicode.Mn, r) || r < 'A' || r > 'Z':
		case strings.ContainsRune("AEIOU", r):
			vowels += string(r)
		default:
			consonants += string(r)
		}
	}
	return consonants, vowels
}

// Names gives the six letters of family and given name; empty for the provisional form.
func (cf CodiceFiscale) Names() (family, given string) {
	if len(cf) != 16 {
		return "", ""
	}
	return string(cf[:3]), string(cf[3:6])
}
