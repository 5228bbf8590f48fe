package validation_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// result is the whole way for one certificate.
func result(t testing.TB, kind pki.Kind) *validation.Result {
	t.Helper()
	p := pki.Shared(t)
	id := p.MustIssue(t, kind, pki.P256, pki.Citizens[0])
	s := trust.NewStore(trust.AllowTest())
	for k, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.CIE: profile.CIE, pki.Qualified: profile.Qualified} {
		if _, err := s.AddPEM(p.AnchorsPEM(k), string(k), prof); err != nil {
			t.Fatal(err)
		}
		list, err := p.CRL(p.Issuer(k))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddCRL(list, string(k)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	content := []byte("contenuto")
	err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now().UTC().Truncate(time.Second),
		Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, d, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Reader(t.Context(), bytes.NewReader(out.Bytes()), verify.Options{Store: s})
	if err != nil || len(r) != 1 {
		t.Fatalf("%d results, %v", len(r), err)
	}
	return r[0]
}

// Facts that were stored are judged again, to the same report, and under another
// policy to another.
func TestReplay(t *testing.T) {
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE, pki.Qualified, pki.Expired, pki.Revoked, pki.OtherRoot} {
		t.Run(string(kind), func(t *testing.T) {
			first := result(t, kind)
			data, err := json.Marshal(first.Facts)
			if err != nil {
				t.Fatal(err)
			}
			var facts validation.Facts
			if err := json.Unmarshal(data, &facts); err != nil {
				t.Fatal(err)
			}
			again := validation.Judge(&facts, validation.Default())
			if !reflect.DeepEqual(first.Signature(message.Italian), again.Signature(message.Italian)) {
				t.Errorf("%+v\n%+v", first.Signature(message.Italian), again.Signature(message.Italian))
			}
			lenient := validation.Default()
			lenient.Checks = map[string]validation.Level{}
			for _, c := range validation.Table() {
				lenient.Checks[c.ID] = validation.Ignore
			}
			if r := validation.Judge(&facts, lenient); !r.Passed() || len(r.Findings) != 0 {
				t.Errorf("with every check ignored: %s, %d findings", r.Indication, len(r.Findings))
			}
		})
	}
}

// Every check can be told to a person, in both languages, and has a level and an
// id of its own.
func TestEveryCheckHasItsSentences(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range validation.Table() {
		if seen[c.ID] {
			t.Errorf("%s twice", c.ID)
		}
		seen[c.ID] = true
		for _, lang := range []message.Lang{message.Italian, message.English} {
			if text := message.Text(lang, "validation."+c.ID); text == "" || strings.Contains(text, "validation."+c.ID) {
				t.Errorf("%s has no sentence in %s: %q", c.ID, lang, text)
			}
		}
		if !slices.Contains([]validation.Level{validation.Fail, validation.Warn, validation.Inform}, c.Level) {
			t.Errorf("%s has level %q", c.ID, c.Level)
		}
	}
}

func TestPolicies(t *testing.T) {
	good, err := json.Marshal(validation.Default())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := validation.ParsePolicy(good); err != nil || p.Name != validation.Default().Name {
		t.Errorf("the default, written and read: %v", err)
	}
	for name, change := range map[string]string{
		"an unknown check":  `{"checks":{"no-such-check":"FAIL"}}`,
		"an unknown level":  `{"checks":{"validity":"PERHAPS"}}`,
		"an unknown field":  `{"colour":"red"}`,
		"not JSON":          `{`,
		"a date that is no": `{"algorithms":{"updated":"2026-13-01"}}`,
	} {
		if _, err := validation.ParsePolicy([]byte(change)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	changed := func(edit func(*validation.Policy)) []byte {
		p := validation.Default()
		p.Checks = map[string]validation.Level{}
		edit(p)
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"something after it": append(slices.Clone(good), good...),
		"a broken signature": changed(func(p *validation.Policy) { p.Checks["signature-value"] = validation.Ignore }),
		"another document":   changed(func(p *validation.Policy) { p.Checks["message-digest"] = validation.Warn }),
		"nobody's word":      changed(func(p *validation.Policy) { p.Checks["chain-found"] = validation.Inform }),
		"a negative span":    changed(func(p *validation.Policy) { p.ClockSkewSeconds = -1 }),
		"an endless span":    changed(func(p *validation.Policy) { p.RevocationKeepHours = 1 << 40 }),
	} {
		if _, err := validation.ParsePolicy(data); !errors.Is(err, validation.ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An algorithm's end: the day itself is still good.
func TestAlgorithmsEnd(t *testing.T) {
	a := validation.Default().Algorithms
	for _, c := range []struct {
		name string
		at   string
		ok   bool
	}{{"SHA-1", "2005-01-01", true}, {"SHA-1", "2026-01-01", false}, {"SHA-256", "2026-01-01", true}, {"MD5", "2026-01-01", false}, {"nobody's", "2026-01-01", false}} {
		at, err := time.Parse(time.DateOnly, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if ok, until, _ := a.Digest(c.name, at); ok != c.ok {
			t.Errorf("%s at %s: %v (until %q)", c.name, c.at, ok, until)
		}
	}
	at, _ := time.Parse(time.DateOnly, "2026-01-01")
	for _, c := range []struct {
		name string
		bits int
		ok   bool
	}{{"RSA", 1024, false}, {"RSA", 2048, true}, {"ECDSA", 256, true}, {"ECDSA", 160, false}, {"DSA", 2048, false}} {
		if ok, until, _ := a.Key(c.name, c.bits, at); ok != c.ok {
			t.Errorf("%s-%d: %v (until %q)", c.name, c.bits, ok, until)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	for _, p := range []*validation.Policy{validation.Default(), validation.Strict()} {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"checks":{"validity":"WARN"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := validation.ParsePolicy(data)
		if err != nil {
			return
		}
		if r := validation.Judge(&validation.Facts{}, p); r.Passed() && len(p.Checks) == 0 {
			t.Error("no facts, and valid")
		}
	})
}
