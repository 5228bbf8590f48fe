package seal_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
	"github.com/citel-pa/citel/testdata/town"
	"github.com/citel-pa/citel/testdata/tsa"
)

// sealed makes a key with a certificate for seals, as a provider would issue one.
func sealed(t *testing.T, alg pki.KeyAlg, name string) *pki.Identity {
	t.Helper()
	key, err := pki.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	type statement struct {
		ID    asn1.ObjectIdentifier
		Types []asn1.ObjectIdentifier
	}
	qc, err := asn1.Marshal([]statement{{asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}, []asn1.ObjectIdentifier{{0, 4, 0, 1862, 1, 6, 2}}}}) // ETSI EN 319 412-5, 4.2.3: eSeal
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
		Subject:         pkix.Name{Country: []string{"IT"}, Organization: []string{name}, CommonName: "Sigillo TEST " + name},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: qc}, {Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: asn1.NullBytes}},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &pki.Identity{Cert: c, Key: key}
}

func fingerprint(id *pki.Identity) string {
	sum := sha256.Sum256(id.Cert.Raw)
	return hex.EncodeToString(sum[:])
}

// The ente's seal key is on a PKCS#11 token: what a citizen is given and the daily register
// are sealed with it, and hold for poppler, openssl and our own program. After a rotation
// both certificates are published, so the receipt of before still holds; another ente has
// a key of its own.
func TestSealOnToken(t *testing.T) {
	agent := filepath.Join(t.TempDir(), "citel-agent")
	if out, err := run(t, "go", "build", "-o", agent, "github.com/citel-pa/citel/agent/cmd/citel-agent"); err != nil {
		t.Fatal(out)
	}
	hsm, err := softhsm.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, second, other := sealed(t, pki.RSA2048, "Comune di Prova"), sealed(t, pki.P256, "Comune di Prova"), sealed(t, pki.P384, "Comune Altro")
	own := pki.Shared(t).MustIssue(t, pki.Qualified, pki.RSA2048, pki.Citizens[0]) // the server's, for log and register
	if _, err := hsm.Add(softhsm.Token{Label: "sigilli", PIN: "13579", Identities: []*pki.Identity{own, first, second, other}}); err != nil {
		t.Fatal(err)
	}
	for _, kv := range hsm.Env() {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("13579\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, db := storetest.Dir(t), storetest.New(t, store.SQLite)
	token := &keys.Token{Module: hsm.Module(), PINFile: pin, Certificate: fingerprint(own), Seals: map[string]string{"prova": strings.ToUpper(fingerprint(first)), "altro": fingerprint(other)}}
	t.Cleanup(func() { _ = token.Close() })
	ring, err := keys.Open(dir, token)
	if err != nil {
		t.Fatal(err)
	}
	place := town.On(t, db, ring)
	before := receipt(t, place)
	place.Move(3 * 24 * time.Hour)
	if err := place.Register.CloseDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	days, err := place.Register.Days(t.Context(), "prova", 10)
	if err != nil || len(days) == 0 {
		t.Fatal(days, err)
	}
	daily := file(t, place, days[len(days)-1].Document)

	token.Seals["prova"] = fingerprint(second) // the rotation, as a restart with another --keys-seal
	after := receipt(t, place)
	dir = t.TempDir()
	published, err := place.Seals.PEM(t.Context(), "prova", "Comune di Prova")
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for b, rest := pem.Decode(published); b != nil; b, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	if len(chain) != 2 || !chain[0].Equal(second.Cert) || !chain[1].Equal(first.Cert) {
		t.Errorf("published: %d certificates", len(chain))
	}
	trusted := filepath.Join(dir, "ENTE.pem")
	if err := os.WriteFile(trusted, published, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"receipt before the rotation": before, "daily register": daily, "receipt after it": after} {
		pdf := filepath.Join(dir, "x.pdf")
		if err := os.WriteFile(pdf, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, agent, "verify", "--offline", "--json", "--trust", trusted, pdf); err != nil || !strings.Contains(strings.ReplaceAll(out, " ", ""), `"kind":"seal"`) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if out, err := run(t, "pdfsig", "-nocert", pdf); err != nil || !strings.Contains(out, "Signature is Valid") || !strings.Contains(out, "Total document signed") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		openssl(t, dir, data, trusted)
	}
	foreign, _, err := place.Seals.Seal(t.Context(), "altro", "Comune Altro", "x", document(t))
	if err != nil || !bytes.Contains(foreign, []byte(hex.EncodeToString(other.Cert.Raw)[:200])) && !bytes.Contains(foreign, []byte(strings.ToUpper(hex.EncodeToString(other.Cert.Raw)[:200]))) {
		t.Error("another ente's document is not sealed with its own key", err)
	}
	x, err := place.Seals.SignXML(t.Context(), "prova", "Comune di Prova", []byte("<a></a>"))
	if err != nil || !bytes.Contains(x, []byte("ecdsa-sha256")) {
		t.Errorf("%v\n%s", err, x)
	}
	token.Seals["prova"] = strings.Repeat("0", 64)
	if _, _, err := place.Seals.Seal(t.Context(), "prova", "Comune di Prova", "x", document(t)); !errors.Is(err, keys.ErrUnknown) {
		t.Error("a certificate that is not on the token:", err)
	}
}

// A ring in a file: after its rotation the certificate of before stays published.
func TestRotation(t *testing.T) {
	town.Each(t, func(t *testing.T, place *town.Town) {
		old, err := place.Seals.PEM(t.Context(), "prova", "Comune di Prova")
		if err != nil {
			t.Fatal(err)
		}
		place.Move(time.Hour)
		if err := place.Keys.Rotate(place.Today()); err != nil {
			t.Fatal(err)
		}
		now, err := place.Seals.PEM(t.Context(), "prova", "Comune di Prova")
		if err != nil || len(now) <= len(old) || !bytes.HasSuffix(now, old) || bytes.HasPrefix(now, old) {
			t.Errorf("%v\n%s", err, now)
		}
	})
}

func receipt(t *testing.T, place *town.Town) []byte {
	t.Helper()
	d, ctx := place.Applications, t.Context()
	v := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
	a, err := d.Start(ctx, v, "instradamento")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"}
	if errs, err := d.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		t.Fatal(errs, err)
	}
	if _, err = d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err == nil {
		a, err = d.Send(ctx, v, a.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Receipt(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if n, gaps, err := place.Register.Verify(ctx, "prova", a.Sent.In(register.Rome()).Year()); err != nil || len(gaps) > 0 || n == 0 {
		t.Error(n, gaps, err)
	}
	return data
}

func file(t *testing.T, place *town.Town, name string) []byte {
	t.Helper()
	r, err := place.Store.OpenFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// A token of an authority that nobody named is not put on a receipt; one of the authority
// that was named is, and a verifier that knows it takes its time.
func TestAuthority(t *testing.T) {
	named, err1 := pki.New()
	stranger, err2 := pki.New()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	post := &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	anchors := trust.NewStore(trust.AllowTest())
	if _, err := anchors.AddPEM(named.AnchorsPEM(), "tsa"); err != nil {
		t.Fatal(err)
	}
	place := town.New(t, storetest.New(t, store.SQLite))
	good := &seal.Authority{Client: &timestamp.Client{URL: tsa.Start(t, named.TSA), Post: post}, Trust: anchors}
	bad := &seal.Authority{Client: &timestamp.Client{URL: tsa.Start(t, stranger.TSA), Post: post}, Trust: anchors}
	sum := sha256.Sum256([]byte("x"))
	if token, err := good.Stamp(t.Context(), sum[:], crypto.SHA256); err != nil || len(token) == 0 {
		t.Error(err)
	}
	if _, err := bad.Stamp(t.Context(), sum[:], crypto.SHA256); !errors.Is(err, seal.ErrAuthority) {
		t.Error(err)
	}
	for _, c := range []struct {
		a    *seal.Authority
		want bool
	}{{good, true}, {bad, false}} {
		d := &seal.Desk{Store: place.Store, Keys: place.Keys, Stamp: c.a.Stamp}
		out, stamped, err := d.Seal(t.Context(), "prova", "Comune di Prova", "Ricevuta", document(t))
		if err != nil || stamped != c.want {
			t.Error(c.want, stamped, err)
		}
		name := filepath.Join(t.TempDir(), "x.pdf")
		if err := os.WriteFile(name, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := run(t, "pdfsig", "-nocert", name); err != nil || !strings.Contains(text, "Signature is Valid") {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
