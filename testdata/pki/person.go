package pki

import (
	"fmt"
	"strings"
	"time"
)

// Person is an invented holder. The codice fiscale is well-formed, so that
// nothing has to be switched off to use it; the names say that they are made up.
type Person struct {
	Given, Surname string
	CF             string
	Born           time.Time
	Sex            string // "M" or "F"
	BirthPlace     string // Belfiore code
	CardID         string // EF_IDCarta, 16 digits
}

// Citizens of the test town. The first is the one that the demo uses; the third
// is born abroad; the fourth has an omocodia code (DM 23/12/1976, art. 6).
var Citizens = []Person{
	citizen("Prova", "Cittadino", 1980, 1, 10, "M", "G702", "609000000000001"),
	citizen("Esempio", "Genitrice", 1985, 6, 5, "F", "G702", "609000000000002"),
	citizen("Campione", "Straniero", 1990, 12, 31, "M", "Z404", "609000000000003"),
	omocodia(citizen("Modello", "Gemello", 1975, 3, 21, "M", "A657", "609000000000004")),
}

// Invented makes up a person by number, the same each time; the first are Citizens.
func Invented(n int) Person {
	if n < len(Citizens) {
		return Citizens[n]
	}
	letters := "BCDFGHLMNP"
	surname := "Prova" + string(letters[n%10]) + "a" + string(letters[n/10%10]) + "a" // the code has consonants alone
	return citizen("Inventata"[:9-n%2], string(letters[n%10])+"a"+string(letters[n/10%10])+"o"+surname, 1950+n%50, time.Month(1+n%12), 1+n%28, "F", "G702", fmt.Sprintf("6090000%08d", n))
}

// Child makes an invented child, born in 2023 or 2024.
func Child(n int) Person {
	letter := string("BCDFGHLMNP"[n%10])
	return citizen("Bimba"+letter+"a", "Prova"+letter+"a", 2023+n%2, time.Month(1+n%12), 1+n%28, "F", "G702", fmt.Sprintf("6090001%08d", n))
}

// ByCF finds a citizen; ok is false for a code that is none of theirs.
func ByCF(cf string) (Person, bool) {
	for _, p := range Citizens {
		if strings.EqualFold(p.CF, cf) {
			return p, true
		}
	}
	return Person{}, false
}

// Anybody makes a holder for a code that was given by hand.
func Anybody(cf string) Person {
	if p, ok := ByCF(cf); ok {
		return p
	}
	return Person{Given: "Prova", Surname: "Qualunque", CF: strings.ToUpper(cf), Born: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), Sex: "M", CardID: withLuhn("609000000000099")}
}

func citizen(given, surname string, y int, m time.Month, d int, sex, place, card string) Person {
	p := Person{
		Given: given, Surname: surname, Born: time.Date(y, m, d, 0, 0, 0, 0, time.UTC),
		Sex: sex, BirthPlace: place, CardID: withLuhn(card),
	}
	p.CF = codiceFiscale(p)
	return p
}

// codiceFiscale computes the code (DM 23/12/1976 n. 13813).
func codiceFiscale(p Person) string {
	day := p.Born.Day()
	if p.Sex == "F" {
		day += 40
	}
	body := three(p.Surname, false) + three(p.Given, true) +
		digits2(p.Born.Year()%100) + string("ABCDEHLMPRST"[p.Born.Month()-1]) + digits2(day) + p.BirthPlace
	return body + string(control(body))
}

func digits2(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }

func three(name string, given bool) string {
	var cons, vows string
	for _, c := range strings.ToUpper(name) {
		switch {
		case strings.ContainsRune("AEIOU", c):
			vows += string(c)
		case c >= 'A' && c <= 'Z':
			cons += string(c)
		}
	}
	if given && len(cons) >= 4 {
		cons = cons[:1] + cons[2:4]
	}
	return (cons + vows + "XXX")[:3]
}

// oddValues of characters in odd places, 0-9 then A-Z.
var oddValues = [36]int{
	1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
	1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
}

func control(body string) byte {
	sum := 0
	for i := range body {
		c := body[i]
		v := int(c - '0')
		if c >= 'A' {
			v = int(c-'A') + 10
		}
		switch {
		case i%2 == 0:
			sum += oddValues[v]
		case c >= 'A':
			sum += v - 10
		default:
			sum += v
		}
	}
	return byte('A' + sum%26)
}

// omocodia replaces the last digit of the code by its letter.
func omocodia(p Person) Person {
	b := []byte(p.CF[:15])
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] >= '0' && b[i] <= '9' {
			b[i] = "LMNPQRSTUV"[b[i]-'0']
			break
		}
	}
	p.CF = string(b) + string(control(string(b)))
	return p
}

// withLuhn adds the check digit (ISO/IEC 7812-1, annex B).
func withLuhn(s string) string {
	sum := 0
	for i := range s {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return s + string(byte('0'+(10-sum%10)%10))
}
