package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/worker"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

const levelLT = "LT"

// longTerm is where evidence for B-LT comes from.
type longTerm struct {
	options verify.Options
	lists   [][]byte
}

// evidence reads the authorities and lists that flags name, before the card is touched.
func (f *signFlags) evidence() (*longTerm, error) {
	if f.level != levelLT || f.format == signing.FormatCAdES {
		return nil, nil //nolint:nilnil // nothing is collected
	}
	l := &longTerm{options: verify.Options{Store: trust.NewStore(trust.AllowTest())}}
	for _, name := range f.trust {
		text, err := os.ReadFile(name) //nolint:gosec // the person names the file
		if err != nil {
			return nil, exit(command.InputOutput, fmt.Errorf("--trust: %w", err))
		}
		if _, err := l.options.Store.AddPEM(text, filepath.Base(name), profile.All...); err != nil {
			return nil, exit(command.Usage, fmt.Errorf("--trust: %w", err))
		}
	}
	for _, name := range f.crl {
		data, err := os.ReadFile(name) //nolint:gosec // the person names the file
		if err != nil {
			return nil, exit(command.InputOutput, fmt.Errorf("--crl: %w", err))
		}
		if err := l.options.Store.AddCRL(data, filepath.Base(name)); err != nil {
			return nil, exit(command.Usage, fmt.Errorf("--crl: %w", err))
		}
		l.lists = append(l.lists, data)
	}
	l.options.Revocation = &trust.Revocation{Store: l.options.Store, Fetch: &trust.Fetcher{}}
	return l, nil
}

// extend appends the evidence to every result (PAdES-B-LT). Evidence is collected from
// the signatures' values; the PDFs are read by the helper.
func (r *results) extend(ctx context.Context, documents *worker.Preparer, values [][]byte, l *longTerm) error {
	for i, f := range r.temps {
		if err := extendOne(ctx, f.Name(), documents, values[i], l); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(r.names[i]), err)
		}
	}
	return nil
}

func extendOne(ctx context.Context, name string, documents *worker.Preparer, value []byte, l *longTerm) (err error) {
	facts, err := cades.Read(ctx, bytes.NewReader(value), cades.ReadOptions{})
	if err != nil {
		return err
	}
	if len(facts) != 1 {
		return errors.New("the signature cannot be read again")
	}
	e, err := verify.Collect(ctx, facts[0], l.options, l.lists...)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	increment, err := documents.Extend(ctx, file, size, *e)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(increment, size)
	return err
}
