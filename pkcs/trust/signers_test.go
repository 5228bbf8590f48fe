package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// below issues a certificate.
func (s signer) below(t *testing.T, name string, change ...func(*x509.Certificate)) signer {
	t.Helper()
	c, key := issue(t, name, func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		for _, f := range change {
			f(c)
		}
	}, s.cert, s.key)
	return signer{c, key}
}

func (s signer) list(t *testing.T, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	return crl(t, &pki.CA{Cert: s.cert, Key: s.key}, change, revoked...)
}

func plain(*x509.RevocationList) {}

func noCA(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }

func listsOnly(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.SubjectKeyId = false, x509.KeyUsageCRLSign, []byte(c.Subject.CommonName)
}

// verdict has the policy judge what is known of a path of three: end, authority, root.
func verdict(t *testing.T, root *x509.Certificate, path []*x509.Certificate, helpers []*x509.Certificate, lists ...[]byte) []string {
	t.Helper()
	store := trust.NewStore(trust.AllowTest())
	if _, err := store.AddPEM(pki.EncodePEM(root), "root", profile.CNS); err != nil {
		t.Fatal(err)
	}
	f := &validation.Facts{Time: time.Now(), Identity: validation.IdentityFacts{RevocationSources: true}}
	f.Chain, path = store.Path(path[0], slices.Concat(path[1:], helpers))
	r := &trust.Revocation{Store: store}
	for i, c := range path[:len(path)-1] {
		f.Revocation = append(f.Revocation, r.About(t.Context(), trust.Question{Cert: c, Issuer: path[i+1], Path: path[i:], Helpers: helpers, CRLs: lists})...)
	}
	var out []string
	for _, x := range validation.JudgeCertificate(f, validation.Default()) {
		out = append(out, x.Check+" "+x.Text(message.English))
	}
	return out
}

// An authority that has a new key signs its lists with that one only (RFC 5280, 6.3.3, (f)).
func TestListByAnotherKey(t *testing.T) {
	var top signer
	root := top.below(t, "root")
	old, renewed := root.below(t, "authority"), root.below(t, "authority")
	separate := root.below(t, "authority", listsOnly)
	end := old.below(t, "end", noCA)
	elsewhere := signer{}.below(t, "root").below(t, "authority")
	forSigning := root.below(t, "authority", noCA)
	roots := root.list(t, plain)
	for name, c := range map[string]struct {
		helpers []*x509.Certificate
		lists   [][]byte
		want    string
	}{
		"renewed key":                  {[]*x509.Certificate{renewed.cert}, [][]byte{roots, renewed.list(t, plain)}, ""},
		"key for lists alone":          {[]*x509.Certificate{separate.cert}, [][]byte{roots, separate.list(t, plain)}, ""},
		"revoked there":                {[]*x509.Certificate{renewed.cert}, [][]byte{roots, renewed.list(t, plain, end.cert)}, "revoked"},
		"signer not there":             {nil, [][]byte{roots, renewed.list(t, plain)}, "revocation-known"},
		"signer revoked":               {[]*x509.Certificate{renewed.cert}, [][]byte{root.list(t, plain, renewed.cert), renewed.list(t, plain)}, "«authority» signed the answer, and was revoked"},
		"signer of whom nobody speaks": {[]*x509.Certificate{renewed.cert}, [][]byte{renewed.list(t, plain)}, "revocation-issuer-status"},
		"another root":                 {[]*x509.Certificate{elsewhere.cert}, [][]byte{roots, elsewhere.list(t, plain)}, "same anchor"},
		"key not for lists":            {[]*x509.Certificate{forSigning.cert}, [][]byte{roots, signer{&x509.Certificate{RawSubject: forSigning.cert.RawSubject, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}, PublicKey: forSigning.cert.PublicKey, PublicKeyAlgorithm: x509.ECDSA}, forSigning.key}.list(t, plain)}, "revocation-known"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(verdict(t, root.cert, []*x509.Certificate{end.cert, old.cert}, c.helpers, c.lists...), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.want != "" && !strings.Contains(got, "«") {
				t.Errorf("no certificate is named: %s", got)
			}
		})
	}
}

// names is a GeneralNames of one directory name, without its tag.
func directoryName(raw []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: raw}
}

// entryOf is a line of an indirect list; its issuer holds for those that follow.
func entryOf(t *testing.T, c *x509.Certificate, name bool) x509.RevocationListEntry {
	t.Helper()
	e := x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Second)}
	if name {
		value, err := asn1.Marshal([]asn1.RawValue{directoryName(c.RawIssuer)})
		if err != nil {
			t.Fatal(err)
		}
		e.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: value}}
	}
	return e
}

// A list of another issuer speaks of a certificate only if the certificate names that
// issuer, and its entries are each of one issuer (RFC 5280, 5.2.5, 5.3.3, 6.3.3 (b)).
func TestIndirectLists(t *testing.T) {
	root := signer{}.below(t, "root")
	lister := root.below(t, "lister", listsOnly)
	other := root.below(t, "other")
	points := func(issuer *x509.Certificate) func(*x509.Certificate) {
		type point struct {
			Issuer []asn1.RawValue `asn1:"tag:2"`
		}
		value, err := asn1.Marshal([]point{{[]asn1.RawValue{directoryName(issuer.RawSubject)}}})
		if err != nil {
			t.Fatal(err)
		}
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: value})
		}
	}
	authority := root.below(t, "authority")
	end := authority.below(t, "end", noCA, points(lister.cert))
	plainEnd := authority.below(t, "end", noCA)
	namesake := other.below(t, "namesake", noCA, func(c *x509.Certificate) { c.SerialNumber = end.cert.SerialNumber })
	neighbour := authority.below(t, "neighbour", noCA)
	indirect := func(entries ...x509.RevocationListEntry) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = entries
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xFF}}}
		}
	}
	roots := root.list(t, plain)
	for name, c := range map[string]struct {
		end  *x509.Certificate
		list []byte
		want string
	}{
		"nobody on it":                     {end.cert, lister.list(t, indirect()), ""},
		"on it":                            {end.cert, lister.list(t, indirect(entryOf(t, end.cert, true))), "revoked"},
		"after one of the same issuer":     {end.cert, lister.list(t, indirect(entryOf(t, neighbour.cert, true), entryOf(t, end.cert, false))), "revoked"},
		"same number, another issuer":      {end.cert, lister.list(t, indirect(entryOf(t, namesake.cert, true))), ""},
		"same number after another issuer": {end.cert, lister.list(t, indirect(entryOf(t, other.cert, true), entryOf(t, neighbour.cert, true), entryOf(t, namesake.cert, true))), ""},
		"same number of the lister's own":  {end.cert, lister.list(t, indirect(entryOf(t, end.cert, false))), ""},
		"it does not say that it is one":   {end.cert, lister.list(t, plain), "revocation-known"},
		"entries of others, and not said so": {end.cert, authority.list(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{entryOf(t, namesake.cert, true)}
		}), "not say that it is an indirect list"},
		"not named by the certificate": {plainEnd.cert, lister.list(t, indirect(entryOf(t, plainEnd.cert, true))), "revocation-"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(verdict(t, root.cert, []*x509.Certificate{c.end, authority.cert}, []*x509.Certificate{lister.cert}, roots, c.list), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// Of several ways to an anchor the one counts that keeps the rules and has not ended.
func TestBestPath(t *testing.T) {
	root := signer{}.below(t, "root")
	key, err := pki.GenerateKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "authority", Organization: []string{"CiTel TEST"}},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		change(c)
		der, err := x509.CreateCertificate(rand.Reader, c, root.cert, key.Public(), root.key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return c
	}
	good := with(func(*x509.Certificate) {})
	ended := with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	noIssuer := with(func(c *x509.Certificate) { c.IsCA = false })
	end := signer{good, key}.below(t, "end", noCA)
	store := trust.NewStore(trust.AllowTest())
	if _, err := store.AddPEM(pki.EncodePEM(root.cert), "root"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		helpers []*x509.Certificate
		want    *x509.Certificate
	}{{[]*x509.Certificate{noIssuer, ended, good}, good}, {[]*x509.Certificate{noIssuer, ended}, ended}, {[]*x509.Certificate{noIssuer}, noIssuer}} {
		if _, path := store.Path(end.cert, c.helpers); len(path) != 3 || !path[1].Equal(c.want) {
			t.Errorf("%d: another way was taken", len(c.helpers))
		}
	}
}
