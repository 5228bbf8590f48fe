// Package signed makes signed files for tests of what people get to see: valid, changed,
// revoked, expired, of an unknown issuer, stamped, and by somebody whose name is an attack.
package signed

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/typeset"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

// Content is what is signed.
const Content = "Il sottoscritto chiede l'iscrizione all'asilo nido.\n"

// File is a signed file with the name that it goes by.
type File struct {
	Name string
	Data []byte
}

// Desk has the authority, what is trusted of it, and the files.
type Desk struct {
	PKI   *pki.PKI
	Store *trust.Store
	// Anchors in PEM by profile, and the revocation list of the CNS issuer.
	Anchors map[profile.Profile][]byte
	CRL     []byte
	Files   map[string]File
}

// Hostile is a name that tries to look like something else, and to be in the way.
var Hostile = "MARIO\u202e\u2066 ISSOR<script>alert(1)</script>\x1b[2J\r\n\"'&{{.}}" + strings.Repeat("\u0301", 400) + strings.Repeat("x", 10_000)

var (
	once   sync.Once
	shared *Desk
)

// Shared gives one desk for the whole test process; nobody changes it.
func Shared(tb testing.TB) *Desk {
	tb.Helper()
	once.Do(func() { shared = New(tb) })
	if shared == nil {
		tb.Fatal("the desk could not be made, see the first failure")
	}
	return shared
}

// New makes a desk.
func New(tb testing.TB) *Desk {
	tb.Helper()
	p, err := pki.New()
	if err != nil {
		tb.Fatal(err)
	}
	d := &Desk{PKI: p, Store: trust.NewStore(trust.AllowTest()), Anchors: map[profile.Profile][]byte{}, Files: map[string]File{}}
	who := pki.Citizens[0]
	d.sign(tb, "valid", p.MustIssue(tb, pki.CNS, pki.P256, who), false)
	d.sign(tb, "qualified", p.MustIssue(tb, pki.Qualified, pki.P256, pki.Citizens[1]), false)
	d.sign(tb, "cie", p.MustIssue(tb, pki.CIE, pki.RSA2048, pki.Citizens[2]), false)
	d.sign(tb, "detached", p.MustIssue(tb, pki.CNS, pki.P256, who), true)
	d.sign(tb, "revoked", p.MustIssue(tb, pki.Revoked, pki.P256, who), false)
	d.sign(tb, "expired", p.MustIssue(tb, pki.Expired, pki.P256, who), false)
	d.sign(tb, "unknown", p.MustIssue(tb, pki.OtherRoot, pki.P256, who), false)
	d.sign(tb, "hostile", p.MustIssue(tb, pki.CNS, pki.P256, who, func(c *x509.Certificate) {
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: Hostile}}}
	}), false)
	valid := d.Files["valid"].Data
	d.Files["changed"] = File{"cambiato.pdf.p7m", bytes.Replace(valid, []byte("chiede"), []byte("odiava"), 1)}
	client := &timestamp.Client{URL: tsa.Start(tb, p.TSA), Post: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	var stamped bytes.Buffer
	if err := cades.Augment(tb.Context(), cades.AugmentOptions{Stamp: client.Stamp}, bytes.NewReader(d.Files["qualified"].Data), &stamped); err != nil {
		tb.Fatal(err)
	}
	d.Files["stamped"] = File{"marcato.pdf.p7m", stamped.Bytes()}
	d.signPDF(tb, p.MustIssue(tb, pki.Qualified, pki.P256, pki.Citizens[1]))
	d.Files["none"] = File{"senza.txt", []byte("nessuna firma")}
	d.trust(tb)
	return d
}

func (d *Desk) sign(tb testing.TB, name string, id *pki.Identity, detached bool) {
	tb.Helper()
	var out bytes.Buffer
	err := cades.Sign(tb.Context(), cades.SignOptions{Certificate: id.Cert, Detached: detached, SigningTime: time.Now().UTC().Truncate(time.Second),
		Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, digest, o)
		},
	}, strings.NewReader(Content), int64(len(Content)), &out)
	if err != nil {
		tb.Fatal(err)
	}
	file := File{Name: name + ".pdf.p7m", Data: out.Bytes()}
	if detached {
		file.Name = name + ".pdf.p7s"
	}
	d.Files[name] = file
}

// signPDF signs a PDF twice, so that the first signature has a later revision.
func (d *Desk) signPDF(tb testing.TB, ids ...*pki.Identity) {
	tb.Helper()
	doc := typeset.New(typeset.Info{Title: "Istanza", Lang: "it-IT"})
	doc.Heading(1, "Istanza")
	doc.Paragraph(Content)
	var b bytes.Buffer
	if _, err := doc.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	data := b.Bytes()
	for _, id := range append(ids, ids[0]) {
		var out bytes.Buffer
		err := pades.Sign(tb.Context(), pades.SignOptions{SignOptions: cades.SignOptions{Certificate: id.Cert, Chain: id.Chain,
			Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, digest, o)
			},
		}}, pades.PrepareOptions{Time: time.Now()}, bytes.NewReader(data), int64(len(data)), &out)
		if err != nil {
			tb.Fatal(err)
		}
		data = out.Bytes()
	}
	d.Files["pdf"] = File{"istanza.pdf", data}
}

func (d *Desk) trust(tb testing.TB) {
	tb.Helper()
	for kind, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.CIE: profile.CIE, pki.Qualified: profile.Qualified} {
		list, err := d.PKI.CRL(d.PKI.Issuer(kind))
		if err != nil {
			tb.Fatal(err)
		}
		anchors := d.PKI.AnchorsPEM(kind)
		if kind == pki.Qualified {
			anchors = append(anchors, d.PKI.AnchorsPEM()...) // the time-stamper's
		}
		if _, err := d.Store.AddPEM(anchors, string(prof)+".pem", prof); err != nil {
			tb.Fatal(err)
		}
		if err := d.Store.AddCRL(list, string(prof)+".crl"); err != nil {
			tb.Fatal(err)
		}
		d.Anchors[prof] = anchors
		if kind == pki.CNS {
			d.CRL = list
		}
	}
}
