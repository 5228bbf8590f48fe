package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/validation"
)

// savedFormat is the version of the form that facts are saved in.
const savedFormat = "citel-facts-1"

// maxSaved bounds saved facts, in bytes: lists of revoked certificates may be in them.
const maxSaved = 256 << 20

// ErrSaved means that a file does not hold saved facts.
var ErrSaved = errors.New("verify: not a file of saved facts")

// Saved is what a validation collected, to be judged again under another policy or
// time. The signed file is not needed for that, so they prove nothing: whoever wrote the
// facts could write any. What proves is the signed file, or a bundle (pkcs/bundle).
type Saved struct {
	Format string              `json:"format"`
	File   string              `json:"file"`
	Facts  []*validation.Facts `json:"facts"`
}

// Save writes the facts of results as JSON.
func Save(file string, results []*validation.Result) ([]byte, error) {
	s := Saved{Format: savedFormat, File: file}
	for _, r := range results {
		s.Facts = append(s.Facts, r.Facts)
	}
	return json.MarshalIndent(s, "", " ")
}

// ReadSaved reads what Save wrote.
func ReadSaved(r io.Reader) (*Saved, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSaved+1))
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if len(data) > maxSaved {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrSaved, maxSaved)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // a fact that is not understood must not be passed over
	s := &Saved{}
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSaved, err)
	}
	if s.Format != savedFormat {
		return nil, fmt.Errorf("%w: format %q, not %q", ErrSaved, s.Format, savedFormat)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows it", ErrSaved)
	}
	if slices.ContainsFunc(s.Facts, func(f *validation.Facts) bool { return !whole(f) }) {
		return nil, fmt.Errorf("%w: facts that are none", ErrSaved)
	}
	return s, nil
}

// whole tells whether facts and what is in them can be judged.
func whole(f *validation.Facts) bool {
	return f != nil && !slices.ContainsFunc(f.Counter, func(c *validation.Facts) bool { return !whole(c) }) &&
		!slices.ContainsFunc(f.Timestamps, func(t validation.TimestampFacts) bool { return t.Token != nil && !whole(t.Token) })
}

// Judge applies a policy at a time; nil and zero are the default policy and the time
// of the first validation.
func (s *Saved) Judge(p *validation.Policy, at time.Time) []*validation.Result {
	if p == nil {
		p = validation.Default()
	}
	out := make([]*validation.Result, 0, len(s.Facts))
	for _, f := range s.Facts {
		if !at.IsZero() {
			f.Time = at
		}
		out = append(out, validation.Judge(f, p))
	}
	return out
}
