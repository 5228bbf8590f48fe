package history

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
)

// JSON writes the log as one document.
func (l Log) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(l)
}

// columns of the CSV (RFC 4180), with names as in the JSON.
var columns = []string{"n", "at", "by", "origin", "kind", "documents", "digests", "card", "certificate", "outcome", "previous", "intact"}

// CSV writes the log as a table for a spreadsheet. intact is "no" in the line before
// which the chain does not hold.
func (l Log) CSV(w io.Writer) error {
	gaps := map[int]bool{}
	for _, g := range l.Gaps {
		gaps[g.N] = true
	}
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	for _, e := range l.Entries {
		intact := "yes"
		if gaps[e.N] {
			intact = "no"
		}
		if err := c.Write([]string{strconv.Itoa(e.N), e.At.Format(time.RFC3339), plain(e.By), plain(e.Origin), plain(e.Kind), strconv.Itoa(e.Documents),
			strings.Join(e.Digests, " "), plain(e.Card), plain(e.Certificate), plain(e.Outcome), e.Previous, intact}); err != nil {
			return err
		}
	}
	if gaps[0] {
		if err := c.Write([]string{"", "", "", "", "", "", "", "", "", "", "", "no"}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// plain keeps a spreadsheet from taking a stranger's text for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
