package resident

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
)

// Line of a file, for tests of the parser alone.
type Line = row

// ReadAll parses a whole file: its lines, and what keeps it from being read.
func ReadAll(data []byte, now time.Time) (out []*Line, ignored []string, file *Problem, err error) {
	var wrong *fileError
	stop := func(err error) ([]*Line, []string, *Problem, error) {
		if errors.As(err, &wrong) {
			return out, ignored, &wrong.Problem, nil
		}
		return out, ignored, nil, err
	}
	f, err := look(bytes.NewReader(data))
	if err != nil {
		return stop(err)
	}
	p, err := newParser(bytes.NewReader(data), f, now)
	if err != nil {
		return stop(err)
	}
	ignored = p.Ignored
	for {
		r, err := p.next()
		if errors.Is(err, io.EOF) {
			return out, ignored, nil, nil
		}
		if err != nil {
			return stop(err)
		}
		out = append(out, r)
	}
}

// IsBad tells whether a line is left out.
func (r *row) IsBad() bool { return r.bad() }

// Check is a column's check of a value.
func Check(c Column, v string, now time.Time) (string, string) { return c.check(v, now) }

// Male tells what a code says.
func Male(code string) bool { return !profile.CodiceFiscale(code).Female() }
