package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// levels are those that `sign` makes (ETSI EN 319 122-1, 6; EN 319 142-1, 6).
var levels = []string{"B", "T", levelLT}

// authority asks for time-stamps. The person names it, so it may be on a private network.
func authority(address string) cades.StampFunc {
	everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	client := &timestamp.Client{URL: address, Post: &trust.Fetcher{Private: everywhere}}
	return func(ctx context.Context, digest []byte, h crypto.Hash) ([]byte, error) {
		token, err := client.Stamp(ctx, digest, h)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errAuthority, err)
		}
		return token, nil
	}
}

// errAuthority: no time-stamp came.
var errAuthority = errors.New("time-stamping authority")

// augmenter raises results to levels T and LT.
type augmenter struct {
	stamp cades.StampFunc
	// long: the validation data goes into the file.
	long  bool
	fetch *trust.Fetcher
	// anchors that the person named; nil takes the ends of the file's own paths.
	anchors *trust.Store
	lists   map[string][]byte // that the person named, by the file's name
}

func (f *signFlags) augmenter() (*augmenter, error) {
	// What certificates name may not be on a private network, unless the person says so.
	a := &augmenter{stamp: authority(f.tsa), long: f.level == levelLT, fetch: &trust.Fetcher{}, lists: map[string][]byte{}}
	for _, n := range f.private {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, exit(command.Usage, fmt.Errorf("--allow-network: %w", err))
		}
		a.fetch.Private = append(a.fetch.Private, p)
	}
	for _, file := range f.trust {
		text, err := os.ReadFile(file) //nolint:gosec // the person names the file
		if err != nil {
			return nil, exit(command.InputOutput, fmt.Errorf("--trust: %w", err))
		}
		if a.anchors == nil {
			a.anchors = trust.NewStore(trust.AllowTest())
		}
		if _, err := a.anchors.AddPEM(text, filepath.Base(file), profile.All...); err != nil {
			return nil, exit(command.Usage, fmt.Errorf("--trust: %w", err))
		}
	}
	for _, file := range f.crl {
		data, err := os.ReadFile(file) //nolint:gosec // the person names the file
		if err != nil {
			return nil, exit(command.InputOutput, fmt.Errorf("--crl: %w", err))
		}
		if err := trust.NewStore().AddCRL(data, file); err != nil {
			return nil, exit(command.Usage, fmt.Errorf("--crl: %w", err))
		}
		a.lists[filepath.Base(file)] = data
	}
	return a, nil
}

// augment puts a time-stamp on every result (B-T), and then what its validation needs
// (B-LT): the answers are younger than the time-stamp.
func (a *augmenter) augment(ctx context.Context, r *results) error {
	for i, f := range r.temps {
		folder := filepath.Dir(r.names[i])
		if err := rewritten(f.Name(), folder, func(in io.ReadSeeker, out io.Writer) error {
			return cades.Augment(ctx, cades.AugmentOptions{Stamp: a.stamp}, in, out)
		}); err != nil {
			return err
		}
		if !a.long {
			continue
		}
		if err := rewritten(f.Name(), folder, func(in io.ReadSeeker, out io.Writer) error {
			v, err := a.values(ctx, in)
			if err != nil {
				return err
			}
			if _, err := in.Seek(0, io.SeekStart); err != nil {
				return err
			}
			return cades.Augment(ctx, cades.AugmentOptions{Certificates: v.Certificates, CRLs: v.CRLs, OCSPs: v.OCSPs}, in, out)
		}); err != nil {
			return err
		}
	}
	return nil
}

// rewritten puts a new file in an old one's place, whole or not at all.
func rewritten(name, folder string, write func(in io.ReadSeeker, out io.Writer) error) error {
	out, err := os.CreateTemp(folder, ".citel-*")
	if err != nil {
		return err
	}
	in, err := os.Open(name) //nolint:gosec // a result of ours
	if err == nil {
		err = errors.Join(write(in, out), in.Close())
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), name)
}

func (a *augmenter) values(ctx context.Context, in io.ReadSeeker) (*verify.Values, error) {
	o := verify.Options{Store: a.anchors}
	if o.Store == nil {
		facts, err := verify.Facts(ctx, in, verify.Options{})
		if err != nil {
			return nil, err
		}
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		o.Store = trust.NewStore(trust.AllowTest())
		o.Helpers = a.above(ctx, facts)
		o.Store.AddOwn(o.Helpers)
	}
	for name, data := range a.lists {
		if err := o.Store.AddCRL(data, name); err != nil {
			return nil, err
		}
	}
	o.Revocation = &trust.Revocation{Store: o.Store, Fetch: a.fetch}
	return verify.Gather(ctx, in, o)
}

// above are the certificates of the file and its time-stamps, and the issuers that those
// of signers name.
func (a *augmenter) above(ctx context.Context, facts []*validation.Facts) (out []*x509.Certificate) {
	for _, f := range facts {
		for _, der := range f.Certificates {
			if c, err := certificate.Parse(der); err == nil {
				out = append(out, c)
			}
		}
		if signer := f.SignerX509(); signer != nil {
			out = append(out, a.fetch.Issuers(ctx, signer)...)
		}
		for _, t := range f.Timestamps {
			if t.Token != nil {
				out = append(out, a.above(ctx, []*validation.Facts{t.Token})...)
			}
		}
	}
	return out
}
