package doctor

import (
	"os"
	"os/user"
	"regexp"
	"strings"
)

// What may name a person or a device, in what is sent to a help desk.
var (
	serial    = regexp.MustCompile(`\s*\([^)]*\)`)                                                            // of a reader, as PC/SC puts it into the name
	longDigit = regexp.MustCompile(`\b[0-9A-Fa-f]*[0-9]{6,}[0-9A-Fa-f]*\b`)                                   // card numbers, hashes
	code      = regexp.MustCompile(`(?i)\b[A-Z]{6}[0-9L-V]{2}[A-EHLMPRST][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z]\b`) // codice fiscale, DM 23/12/1976
	homes     = regexp.MustCompile(`(?i)(/home/|/Users/|[A-Z]:\\Users\\)[^/\\\s"']+`)
)

// readerName leaves a reader's serial number out.
func readerName(s string) string { return serial.ReplaceAllString(s, "") }

// scrub takes out what may name a person: the home folder, the user's name, codes and
// long numbers.
func scrub(s string) string {
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		s = strings.ReplaceAll(s, home, "~")
	}
	s = homes.ReplaceAllString(s, "~")
	if u, err := user.Current(); err == nil && len(u.Username) > 2 && u.Username != "root" {
		s = strings.ReplaceAll(s, u.Username, "…")
	}
	if host, err := os.Hostname(); err == nil && len(host) > 2 {
		s = strings.ReplaceAll(s, host, "…")
	}
	return longDigit.ReplaceAllString(code.ReplaceAllString(s, "…"), "…")
}
