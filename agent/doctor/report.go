package doctor

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/version"
)

// Text is the check's sentence.
func (c *Check) Text(lang message.Lang) string {
	var args []any
	for k, v := range c.Args {
		args = append(args, k, v)
	}
	return message.Text(lang, "doctor."+c.ID+"-"+string(c.State), args...)
}

// CountBad counts what is to be mended.
func CountBad(checks []Check) (n int) {
	for _, c := range checks {
		if c.State == Bad {
			n++
		}
	}
	return n
}

// Report is what a person sends to a help desk: checks, which name nobody, and
// the versions of program and system.
func Report(lang message.Lang, checks []Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ncitel-agent %s, %s/%s%s\n\n", message.Text(lang, "doctor.report-title"), version.Version, runtime.GOOS, runtime.GOARCH, system())
	for _, x := range checks {
		fmt.Fprintf(&b, "[%s] %s-%s: %s\n", message.Text(lang, "doctor."+string(x.State)), x.ID, x.State, x.Text(lang))
	}
	return b.String()
}

// system names the distribution (os-release(5), PRETTY_NAME).
func system() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return ", " + strings.Trim(name, `"`)
		}
	}
	return ""
}
