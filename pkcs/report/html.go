package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // template and style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var page string

//go:embed style.css
var style string

// CSP is the policy that the page itself names, and that a server sends with it: nothing
// is loaded, nothing runs, and the one style is the one that is in it.
var CSP = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

var layout = template.Must(template.New("report").Funcs(template.FuncMap{"heading": heading}).Parse(page))

// heading: html/template does not take a variable for an element's name.
func heading(b Block) template.HTML {
	level := min(max(b.Level, 2), 6)
	return template.HTML(fmt.Sprintf("<h%d><bdi>%s</bdi></h%d>", level, template.HTMLEscapeString(b.Heading), level)) //nolint:gosec // escaped here
}

// HTML writes the report as one file: no script, no address that is loaded.
func (r *Report) HTML(w io.Writer) error {
	var b bytes.Buffer
	err := layout.Execute(&b, struct {
		*Report
		CSP   string
		Style template.CSS
	}{r, CSP, template.CSS(strings.TrimPrefix(style, "\ufeff"))}) //nolint:gosec // our own file
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}
