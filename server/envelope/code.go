package envelope

import (
	"crypto/rand"
	"strings"
)

// An envelope's code is printed on its outside: twelve random digits and a check digit by
// ISO/IEC 7064, MOD 11,10, which finds every single wrong digit and nearly all that are
// swapped.

// checkDigit of ISO/IEC 7064, the hybrid system MOD 11,10.
func checkDigit(body string) byte {
	p := 10
	for i := range len(body) {
		s := (p + int(body[i]-'0')) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return byte('0' + (11-p)%10)
}

func newCode() string {
	b := make([]byte, 0, 13)
	for len(b) < 12 {
		var r [1]byte
		_, _ = rand.Read(r[:]) // never fails (crypto/rand)
		if r[0] < 250 {
			b = append(b, '0'+r[0]%10)
		}
	}
	return string(append(b, checkDigit(string(b))))
}

// ParseCode reads a code as it is typed or scanned: digits, with blanks, dots or hyphens
// between them. ErrMistyped where the check digit says so.
func ParseCode(s string) (string, error) {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .-\t", r) {
			return -1
		}
		return r
	}, s)
	if len(s) != 13 || strings.Trim(s, "0123456789") != "" || checkDigit(s[:12]) != s[12] {
		return "", ErrMistyped
	}
	return s, nil
}

// FormatCode writes it in groups: 1234 5678 9012-3.
func FormatCode(c string) string {
	if len(c) != 13 {
		return c
	}
	return c[:4] + " " + c[4:8] + " " + c[8:12] + "-" + c[12:]
}
