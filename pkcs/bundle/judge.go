package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"reflect"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// JudgeOptions of Archive.Judge.
type JudgeOptions struct {
	// Trust, where set, is what counts as an authority instead of the bundle's own.
	Trust *trust.Store
	// Policy judges instead of the bundle's; nil is the bundle's.
	Policy *validation.Policy
	// Document is what was left out of the bundle.
	Document io.Reader
	// Extract receives the enveloped content, see verify.Options.
	Extract io.Writer
}

// Judgement is what a bundle's evidence comes to, found again.
type Judgement struct {
	Results  []*validation.Result
	File     string
	SHA256   []byte // of the signed file, as the index has it; compared when it is read
	Time     time.Time
	Policy   *validation.Policy
	Lang     message.Lang
	Anchors  []*x509.Certificate // that the bundle brings
	Document []byte              // SHA-256 of the document that was given
	// Same: the saved facts and the report are bit for bit what was found again.
	Same bool
	// Changed says what in the bundle is not as it was made; empty for a good one.
	Changed []string
	// OwnPolicy: the policy is none that this program ships.
	OwnPolicy bool
}

// Judge verifies the signature again: from the signed file, the certificates, lists and
// responses of the bundle, at the bundle's time. The saved facts count for nothing but
// what a trusted list said of an authority, where the bundle's authorities are taken.
func (a *Archive) Judge(ctx context.Context, o JudgeOptions) (*Judgement, error) {
	j := &Judgement{File: path.Base(a.index.Signed.Name), Time: a.index.Time, Policy: a.policy, Lang: message.ParseLang(a.index.Language), Changed: a.Changed}
	if o.Policy != nil {
		j.Policy = o.Policy
	}
	j.OwnPolicy = !reflect.DeepEqual(j.Policy, validation.Default()) && !reflect.DeepEqual(j.Policy, validation.Strict())
	j.SHA256, _ = hex.DecodeString(a.index.Signed.SHA256) // compared in text below
	store, err := a.store(j, o.Trust)
	if err != nil {
		return nil, err
	}
	evidence, err := a.evidence()
	if err != nil {
		return nil, err
	}
	revocation, err := trust.Replay(store, evidence, a.index.Clock)
	if err != nil {
		return nil, malformed("%v", err)
	}
	opts := verify.Options{Store: store, Revocation: revocation, Policy: j.Policy, Time: a.index.Time, Extract: o.Extract}
	facts, err := a.facts(ctx, j, opts, o.Document)
	if err != nil {
		return nil, err
	}
	for i, f := range facts {
		verify.Complete(ctx, f, opts)
		if o.Trust == nil && i < len(a.saved.Facts) {
			borrow(f, a.saved.Facts[i], 0)
		}
		j.Results = append(j.Results, validation.Judge(f, j.Policy))
	}
	a.compare(j, o)
	return j, nil
}

// store has the authorities that count.
func (a *Archive) store(j *Judgement, own *trust.Store) (*trust.Store, error) {
	store := trust.NewStore(trust.AllowTest())
	var anchors []*trust.Anchor
	for _, x := range a.index.Anchors {
		data, err := slurp(a.files[x.Entry], maxIndex)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, malformed("%.60q is no certificate", x.Entry)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, malformed("%.60q: %v", x.Entry, err)
		}
		listed := &trust.Anchor{Certificate: c, Source: x.Source}
		for _, p := range x.Profiles {
			listed.Profiles = append(listed.Profiles, profile.Profile(p))
		}
		anchors = append(anchors, listed)
		j.Anchors = append(j.Anchors, c)
	}
	if own != nil {
		anchors = own.Anchors()
	}
	if err := store.AddAnchors(anchors); err != nil {
		return nil, malformed("%v", err)
	}
	return store, nil
}

func (a *Archive) evidence() ([]trust.Evidence, error) {
	var out []trust.Evidence
	for _, x := range a.index.Evidence {
		e := x.Evidence
		if x.Entry != "" {
			data, err := slurp(a.files[x.Entry], maxPiece)
			if err != nil {
				return nil, err
			}
			e.DER = data
		} else if !e.Asked {
			return nil, malformed("a list of the evidence is missing")
		}
		out = append(out, e)
	}
	return out, nil
}

// facts reads the signatures from the signed file.
func (a *Archive) facts(ctx context.Context, j *Judgement, o verify.Options, given io.Reader) ([]*validation.Facts, error) {
	var sums []*checked
	open := func(d *document) (io.Reader, func(), error) {
		if d.Entry == "" {
			if given == nil {
				return nil, nil, fmt.Errorf("%w: %s", ErrLeftOut, path.Base(d.Name))
			}
			c := &checked{r: given, sum: sha256.New(), want: d.SHA256, name: path.Base(d.Name)}
			sums = append(sums, c)
			return c, func() {}, nil
		}
		return a.document(a.files[d.Entry])
	}
	in, done, err := open(&a.index.Signed)
	if err != nil {
		return nil, err
	}
	defer done()
	if c := a.index.Content; c != nil {
		content, done, err := open(c)
		if err != nil {
			return nil, err
		}
		defer done()
		o.Content = content
	}
	facts, err := verify.Facts(ctx, in, o)
	for _, c := range sums {
		if _, err := io.Copy(io.Discard, c); err != nil {
			return nil, fmt.Errorf("bundle: %s: %w", c.name, err)
		}
		if hex.EncodeToString(c.sum.Sum(nil)) != c.want {
			j.Changed = append(j.Changed, fmt.Sprintf("%q is not the document that the bundle was made of", c.name))
		}
	}
	return facts, err
}

// document opens a big entry. One that is stored as it is can be read at any place.
func (a *Archive) document(f *zip.File) (io.Reader, func(), error) {
	if f.Method == zip.Store {
		at, err := f.DataOffset()
		if err != nil {
			return nil, nil, malformed("%q: %v", f.Name, err)
		}
		return io.NewSectionReader(a.at, at, int64(f.UncompressedSize64)), func() {}, nil //nolint:gosec // bounded in entries
	}
	r, err := f.Open()
	if err != nil {
		return nil, nil, malformed("%q: %v", f.Name, err)
	}
	return io.LimitReader(r, maxDocument), func() { _ = r.Close() }, nil
}

// checked hashes what is read.
type checked struct {
	r          io.Reader
	sum        hash.Hash
	want, name string
}

// Read reads and hashes.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	return n, err
}

// borrow takes what a trusted list said of an authority from the saved facts: the
// authority is the bundle's word anyway, and the list is not in it.
func borrow(f, saved *validation.Facts, depth int) {
	if saved == nil || depth > 8 {
		return
	}
	anchorOf(&f.Chain, &saved.Chain)
	for i := range min(len(f.Revocation), len(saved.Revocation)) {
		a, b := &f.Revocation[i], &saved.Revocation[i]
		if a.By != nil && b.By != nil {
			anchorOf(a.By, b.By)
		}
		// verify.Complete takes it from the service, which it did not have yet.
		if s := f.Chain.Anchor; a.Remembers == nil && b.Remembers != nil && s != nil && s.Service != nil && s.Service.ExpiredCerts != nil && s.Service.ExpiredCerts.Equal(*b.Remembers) {
			a.Remembers = s.Service.ExpiredCerts
		}
	}
	for i := range min(len(f.Timestamps), len(saved.Timestamps)) {
		if a, b := f.Timestamps[i].Token, saved.Timestamps[i].Token; a != nil && b != nil {
			borrow(a, b, depth+1)
		}
	}
	for i := range min(len(f.Counter), len(saved.Counter)) {
		borrow(f.Counter[i], saved.Counter[i], depth+1)
	}
}

func anchorOf(c, saved *validation.ChainFacts) {
	a, b := c.Anchor, saved.Anchor
	if a != nil && b != nil && bytes.Equal(a.Certificate, b.Certificate) {
		a.Profiles, a.Source, a.Periods, a.Service = b.Profiles, b.Source, b.Periods, b.Service
	}
}

// compare tells whether facts and report are those of the bundle, bit for bit.
func (a *Archive) compare(j *Judgement, o JudgeOptions) {
	again, err1 := verify.Save(a.saved.File, j.Results)
	saved, err2 := json.MarshalIndent(a.saved, "", " ")
	report, err3 := ReportJSON(j.Results, j.Lang)
	facts := errors.Join(err1, err2) == nil && bytes.Equal(again, saved)
	same := err3 == nil && bytes.Equal(report, a.report)
	j.Same = facts && same
	if o.Trust != nil || o.Policy != nil {
		return // another judgement is what was asked for
	}
	if !facts {
		j.Changed = append(j.Changed, factsName+" says other than what is found again")
	}
	if !same {
		j.Changed = append(j.Changed, reportName+" says other than what is found again")
	}
}

// ReportJSON is the report of one file as `verify --json` prints it.
func ReportJSON(results []*validation.Result, lang message.Lang) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(validation.NewReport(results, lang))
	return b.Bytes(), err
}
