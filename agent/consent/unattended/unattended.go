//go:build tester

// Package unattended is the face of testers: it says yes to everything and takes
// the PIN from a file or an inherited descriptor. Only builds with the tag
// tester have it, it must be asked for, and it says loudly that it is there.
package unattended

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/citel-pa/citel/agent/consent"
)

const maxPIN = 128

// Face answers without a person.
type Face struct {
	// PIN gives the PIN; it is called for each answer.
	PIN func() ([]byte, error)
	// Origin limits the yes to one site; empty is every caller.
	Origin string
	// Remember ticks "remember this site".
	Remember bool
	// Log is where each answer is told.
	Log io.Writer
}

// ErrOtherOrigin means that this face answers for another site.
var ErrOtherOrigin = errors.New("unattended: another site asks")

// FromFile reads the PIN from a file at each use.
func FromFile(name string) func() ([]byte, error) {
	return func() ([]byte, error) {
		f, err := os.Open(name) //nolint:gosec // the tester names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return read(f)
	}
}

// FromDescriptor reads the PIN once from an inherited descriptor.
func FromDescriptor(fd int) (func() ([]byte, error), error) {
	f := os.NewFile(uintptr(fd), "PIN")
	if f == nil {
		return nil, fmt.Errorf("unattended: descriptor %d is not open", fd)
	}
	pin, err := read(f)
	if err != nil {
		return nil, err
	}
	return func() ([]byte, error) { return bytes.Clone(pin), nil }, f.Close()
}

func read(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPIN))
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(data, "\r\n"), nil
}

// Ask says yes.
func (f *Face) Ask(_ context.Context, r *consent.Request) (consent.Answer, error) {
	who := r.Caller.Origin
	if r.Caller.Extension {
		who += " through the extension"
	}
	if who == "" {
		who = "the command line"
	}
	if f.Origin != "" && f.Origin != r.Caller.Origin {
		_, _ = fmt.Fprintf(f.Log, "UNATTENDED (tester): refused %s for %s\n", r.Purpose, who)
		return consent.Answer{}, errors.Join(consent.ErrRefused, ErrOtherOrigin)
	}
	_, _ = fmt.Fprintf(f.Log, "UNATTENDED (tester): said yes to %s for %s\n", r.Purpose, who)
	a := consent.Answer{RememberOrigin: f.Remember}
	if r.Purpose == consent.PurposeOrigin {
		return a, nil
	}
	if len(r.Certificates) == 0 || r.Certificates[0].Unfit != "" {
		return consent.Answer{}, consent.ErrRefused
	}
	a.CertificateID = r.Certificates[0].ID
	if r.Certificates[0].PIN.Pinpad || !r.Purpose.UsesKey() {
		return a, nil
	}
	pin, err := f.PIN()
	if err != nil {
		return consent.Answer{}, fmt.Errorf("unattended: %w", err)
	}
	a.PIN = pin
	return a, nil
}

// Outcome tells the log.
func (f *Face) Outcome(_ context.Context, r *consent.Request, err error) {
	if err != nil {
		_, _ = fmt.Fprintf(f.Log, "UNATTENDED (tester): %s failed: %v\n", r.Purpose, err)
	}
}
