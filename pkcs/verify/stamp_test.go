package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

var loopback = &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// stamper is a signer with an authority beside it.
type stamper struct {
	pki    *pki.PKI
	client *timestamp.Client
	store  *trust.Store
}

func newStamper(t *testing.T) *stamper {
	t.Helper()
	p, err := pki.New() // revocations of one test are not another's
	if err != nil {
		t.Fatal(err)
	}
	s := &stamper{pki: p, client: &timestamp.Client{URL: tsa.Start(t, p.TSA), Post: loopback}, store: trust.NewStore(trust.AllowTest())}
	for _, anchors := range [][]byte{p.AnchorsPEM(pki.CNS), p.AnchorsPEM()} {
		if _, err := s.store.AddPEM(anchors, "test", profile.CNS); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *stamper) lists(t *testing.T) {
	t.Helper()
	list, err := s.pki.CRL(s.pki.CNS)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.AddCRL(list, "cns"); err != nil {
		t.Fatal(err)
	}
}

func (s *stamper) sign(t *testing.T, extra ...cms.Attribute) ([]byte, *pki.Identity) {
	t.Helper()
	id := s.pki.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	var out bytes.Buffer
	content := []byte("contenuto")
	err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(), Extra: extra,
		Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, d, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), id
}

func augment(t *testing.T, p7m []byte, o cades.AugmentOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := cades.Augment(t.Context(), o, bytes.NewReader(p7m), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (s *stamper) judge(t *testing.T, p7m []byte, at time.Time) *validation.Result {
	t.Helper()
	results, err := verify.Reader(t.Context(), bytes.NewReader(p7m), verify.Options{Store: s.store, Time: at})
	if err != nil || len(results) != 1 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	return results[0]
}

func explain(t *testing.T, r *validation.Result) {
	t.Helper()
	report := r.Signature(message.English)
	for _, m := range report.Messages {
		t.Log(m.Level, m.Check, m.Text)
	}
	for _, s := range report.Timestamps {
		t.Log(s.Kind, s.Time, s.Indication, s.SubIndication, s.Messages)
	}
}

// A certificate that was revoked after a time-stamp does not take the signature along;
// one that was revoked before it does.
func TestTimestampProvesExistence(t *testing.T) {
	s := newStamper(t)
	s.lists(t)
	p7m, id := s.sign(t)
	stamped := augment(t, p7m, cades.AugmentOptions{Stamp: s.client.Stamp})
	r := s.judge(t, stamped, time.Now())
	if !r.Passed() || r.Facts.Level != "B-T" || len(r.Timestamps) != 1 || !r.Timestamps[0].Facts.ImprintMatch || time.Since(r.BestSignatureTime) > time.Minute {
		t.Errorf("%s %s, %s, best signature time %s", r.Indication, r.SubIndication, r.Facts.Level, r.BestSignatureTime)
		explain(t, r)
	}
	time.Sleep(1100 * time.Millisecond) // the times in tokens and lists have whole seconds
	s.pki.RevokeAt(id.Cert, time.Now())
	s.lists(t)
	later := time.Now().Add(2 * time.Second)
	if r := s.judge(t, p7m, later); r.SubIndication != validation.RevokedNoPOE {
		t.Errorf("without the time-stamp: %s %s", r.Indication, r.SubIndication)
	}
	if r := s.judge(t, stamped, later); !r.Passed() {
		t.Errorf("with it: %s %s", r.Indication, r.SubIndication)
		explain(t, r)
	}
	late := augment(t, p7m, cades.AugmentOptions{Stamp: func(ctx context.Context, d []byte, h crypto.Hash) ([]byte, error) {
		time.Sleep(2100 * time.Millisecond)
		return s.client.Stamp(ctx, d, h)
	}})
	if r := s.judge(t, late, later.Add(2*time.Second)); r.SubIndication != validation.RevokedNoPOE {
		t.Errorf("stamped after the revocation: %s %s", r.Indication, r.SubIndication)
		explain(t, r)
	}
}

// openssl reads what we made: the signature with the time-stamp, and the token.
func TestOpenSSLTakesTimestamps(t *testing.T) {
	s := newStamper(t)
	s.lists(t)
	p7m, _ := s.sign(t)
	list, err := s.pki.CRL(s.pki.CNS)
	if err != nil {
		t.Fatal(err)
	}
	stamped := augment(t, p7m, cades.AugmentOptions{Stamp: s.client.Stamp, Certificates: [][]byte{s.pki.CNS.Cert.Raw, s.pki.Root.Cert.Raw}, CRLs: [][]byte{list}})
	r := s.judge(t, stamped, time.Now())
	if !r.Passed() || r.Facts.Level != "B-LT" {
		t.Errorf("%s %s, %s", r.Indication, r.SubIndication, r.Facts.Level)
		explain(t, r)
	}
	m, err := cms.Parse(bytes.NewReader(stamped), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	root := file("root.pem", s.pki.AnchorsPEM())
	var token []byte
	for _, a := range m.Signers[0].Unsigned {
		if a.OID == cms.OIDSignatureTimestamp {
			token = a.Values[0]
		}
	}
	for _, args := range [][]string{
		{"cms", "-verify", "-inform", "DER", "-in", file("a.p7m", stamped), "-noverify", "-out", os.DevNull},
		{"ts", "-verify", "-data", file("value", m.Signers[0].Signature), "-in", file("token", token), "-token_in", "-CAfile", root, "-ignore_critical"},
	} {
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil { //nolint:gosec // fixed words
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
}

// Tokens that must not count.
func TestBadTimestamps(t *testing.T) {
	s := newStamper(t)
	s.lists(t)
	other, _ := s.sign(t)
	stampOther := func(ctx context.Context, _ []byte, h crypto.Hash) ([]byte, error) {
		m, err := cms.Parse(bytes.NewReader(other), cms.ParseOptions{})
		if err != nil {
			return nil, err
		}
		d := h.New()
		d.Write(m.Signers[0].Signature)
		return s.client.Stamp(ctx, d.Sum(nil), h)
	}
	changed := func(ctx context.Context, digest []byte, h crypto.Hash) ([]byte, error) {
		token, err := s.client.Stamp(ctx, digest, h)
		if err == nil {
			token[len(token)-1] ^= 1 // the signature's last byte
		}
		return token, err
	}
	everyday := s.pki.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0]) // no authority at all
	citizen := func(_ context.Context, digest []byte, h crypto.Hash) ([]byte, error) {
		return everyday.Cert.Raw, nil // not even a token
	}
	for _, c := range []struct {
		name  string
		stamp cades.StampFunc
		sub   validation.SubIndication
	}{
		{"over another signature", stampOther, validation.HashFailure},
		{"changed", changed, validation.SigCryptoFailure},
		{"not a token", citizen, validation.FormatFailure},
	} {
		p7m, _ := s.sign(t)
		r := s.judge(t, augment(t, p7m, cades.AugmentOptions{Stamp: c.stamp}), time.Now())
		if len(r.Timestamps) != 1 || r.Timestamps[0].Indication != validation.TotalFailed || r.Timestamps[0].SubIndication != c.sub || r.BestSignatureTime.Before(r.Facts.Time) {
			t.Errorf("%s: %+v, best signature time %s", c.name, r.Timestamps, r.BestSignatureTime)
			explain(t, r)
		}
	}
	stranger := newStamper(t) // whose root nobody here trusts
	p7m, _ := s.sign(t)
	r := s.judge(t, augment(t, p7m, cades.AugmentOptions{Stamp: stranger.client.Stamp}), time.Now())
	if r.Timestamps[0].SubIndication != validation.NoCertificateChainFound || r.BestSignatureTime.Before(r.Facts.Time) {
		t.Errorf("by an authority that nobody trusts: %+v", r.Timestamps)
	}
}

// The client takes no answer to another question.
func TestTimestampAnswerOfAnother(t *testing.T) {
	s := newStamper(t)
	replay := &replaying{Poster: loopback}
	c := &timestamp.Client{URL: s.client.URL, Post: replay}
	digest := make([]byte, 32)
	if _, err := c.Stamp(t.Context(), digest, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stamp(t.Context(), digest, crypto.SHA256); err == nil {
		t.Error("an answer with the nonce of before is taken")
	}
	if _, err := s.client.Stamp(t.Context(), digest[:20], crypto.SHA256); err == nil {
		t.Error("a digest of another length is asked for")
	}
	if _, err := (&timestamp.Client{URL: s.client.URL, Post: &trust.Fetcher{}}).Stamp(t.Context(), digest, crypto.SHA256); err == nil {
		t.Error("an address on loopback is asked though it is not allowed")
	}
}

type replaying struct {
	timestamp.Poster
	first []byte
}

func (r *replaying) Post(ctx context.Context, a, kind string, body []byte, limit int64) ([]byte, error) {
	if r.first != nil {
		return r.first, nil
	}
	var err error
	r.first, err = r.Poster.Post(ctx, a, kind, body, limit)
	return r.first, err
}
