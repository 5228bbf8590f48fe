package profile

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// CodiceFiscale is a validated Italian tax code in upper case: the sixteen
// characters of a person (DM 23/12/1976 n. 13813) or the provisional eleven
// digits.
type CodiceFiscale string

// ErrCodiceFiscale means that a text is no codice fiscale. The error's text says why.
var ErrCodiceFiscale = errors.New("profile: not a codice fiscale")

// Places of the seven digits that omocodia may turn into letters.
var digitPlaces = [7]int{6, 7, 9, 10, 12, 13, 14}

const (
	months  = "ABCDEHLMPRST"
	omocode = "LMNPQRSTUV" // 0..9
)

// oddValue of the characters in odd places, 0-9 then A-Z.
var oddValue = [36]int{
	1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
	1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
}

// ParseCodiceFiscale validates a code: form, date, check character. Lower case
// and surrounding blanks are taken; inner ones are not.
func ParseCodiceFiscale(s string) (CodiceFiscale, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	bad := func(why string) (CodiceFiscale, error) { return "", fmt.Errorf("%w: %s", ErrCodiceFiscale, why) }
	switch len(s) {
	case 11:
		for i := range s {
			if s[i] < '0' || s[i] > '9' {
				return bad("eleven characters that are not all digits")
			}
		}
		if provisionalCheck(s[:10]) != s[10] {
			return bad("the check digit is wrong")
		}
		return CodiceFiscale(s), nil
	case 16:
	default:
		return bad(fmt.Sprintf("%d characters, not 16 or 11", len(s)))
	}
	for i := range s {
		c := s[i]
		letter, digit := c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
		switch i {
		case 6, 7, 9, 10, 12, 13, 14:
			if !digit && !strings.ContainsRune(omocode, rune(c)) {
				return bad(fmt.Sprintf("character %d is neither a digit nor its substitute", i+1))
			}
		case 8:
			if !strings.ContainsRune(months, rune(c)) {
				return bad("the month's letter is none")
			}
		default:
			if !letter {
				return bad(fmt.Sprintf("character %d is not a letter", i+1))
			}
		}
	}
	cf := CodiceFiscale(s)
	if d := cf.day(); d < 1 || d > 71 || d > 31 && d < 41 {
		return bad("the day is none")
	}
	if control(s[:15]) != s[15] {
		return bad("the check character is wrong")
	}
	return cf, nil
}

func control(body string) byte {
	sum := 0
	for i := range body {
		v := int(body[i] - '0')
		if body[i] >= 'A' {
			v = int(body[i]-'A') + 10
		}
		switch {
		case i%2 == 0:
			sum += oddValue[v]
		case v >= 10:
			sum += v - 10
		default:
			sum += v
		}
	}
	return byte('A' + sum%26)
}

// provisionalCheck is that of the VAT number: odd places as they are, even ones
// doubled with nines cast out.
func provisionalCheck(body string) byte {
	sum := 0
	for i := range body {
		d := int(body[i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return byte('0' + (10-sum%10)%10)
}

// Provisional tells whether this is the eleven-digit form.
func (cf CodiceFiscale) Provisional() bool { return len(cf) == 11 }

// Omocodia tells whether digits were replaced by letters.
func (cf CodiceFiscale) Omocodia() bool { return len(cf) == 16 && cf.plain() != string(cf[:15]) }

// plain gives the first fifteen characters with their digits restored.
func (cf CodiceFiscale) plain() string {
	b := []byte(cf[:15])
	for _, i := range digitPlaces {
		if n := strings.IndexByte(omocode, b[i]); n >= 0 {
			b[i] = byte('0' + n)
		}
	}
	return string(b)
}

func (cf CodiceFiscale) day() int {
	p := cf.plain()
	return int(p[9]-'0')*10 + int(p[10]-'0')
}

// Female tells what the day says; the provisional form says nothing (false).
func (cf CodiceFiscale) Female() bool { return len(cf) == 16 && cf.day() > 40 }

// Born gives the date of birth. The code has two digits for the year: the latest
// such date that is not after now. The provisional form gives the zero time.
func (cf CodiceFiscale) Born(now time.Time) time.Time {
	if len(cf) != 16 {
		return time.Time{}
	}
	p := cf.plain()
	year := now.Year()/100*100 + int(p[6]-'0')*10 + int(p[7]-'0')
	day := cf.day() % 40
	month := time.Month(strings.IndexByte(months, p[8]) + 1)
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if t.After(now) {
		t = time.Date(year-100, month, day, 0, 0, 0, 0, time.UTC)
	}
	return t
}

// BirthPlace gives the Belfiore code, "Z..." for a foreign state.
func (cf CodiceFiscale) BirthPlace() string {
	if len(cf) != 16 {
		return ""
	}
	return cf.plain()[11:15]
}

// Age in full years at a time; -1 when the code does not tell.
func (cf CodiceFiscale) Age(at time.Time) int {
	b := cf.Born(at)
	if b.IsZero() {
		return -1
	}
	age := at.Year() - b.Year()
	if at.Month() < b.Month() || at.Month() == b.Month() && at.Day() < b.Day() {
		age--
	}
	return age
}
