package keys

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// ErrWeak means that a new password is too short, too long, or says what everybody knows.
var ErrWeak = errors.New("keys: the password is too weak")

// Length of a password in characters (NIST SP 800-63B, 5.1.1.2, Memorized Secret
// Verifiers: at least 8, no rules of composition).
const (
	MinPassword = 10
	MaxPassword = 128
)

// CheckPassword tells whether a new password will do; about are the holder's names and
// codes, which it must not be made of.
func CheckPassword(password []byte, about ...string) error {
	n := utf8.RuneCount(password)
	if !utf8.Valid(password) || n < MinPassword || n > MaxPassword {
		return ErrWeak
	}
	low := strings.ToLower(string(password))
	for _, a := range append(about, "password", "12345678", "qwerty", "comune", "citel") {
		if a = strings.ToLower(a); len(a) >= 5 && strings.Contains(low, a) && n < len(a)+MinPassword {
			return ErrWeak
		}
	}
	different := map[rune]bool{}
	for _, r := range low {
		different[r] = true
	}
	if len(different) < 5 || bytes.TrimSpace(password) == nil {
		return ErrWeak
	}
	return nil
}
