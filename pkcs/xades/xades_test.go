package xades_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/xades"
	"github.com/citel-pa/citel/pkcs/xmldsig"
	"github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

const document = `<?xml version="1.0" encoding="UTF-8"?>
<list xmlns="urn:x" Id="list" xmlns:u="urn:u"><a u:b="1">text &amp; more</a><!-- a comment --><c>` + "\r\n" + `</c></list>`

func signer(t testing.TB, alg pki.KeyAlg) *lists.Signer {
	t.Helper()
	s, err := lists.NewSigner("CiTel TEST list", alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func whole(text string, s *lists.Signer) (*xades.Signed, error) {
	d, err := xmldsig.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	return xades.Whole(d, func(der []byte) bool { return bytes.Equal(der, s.Cert.Raw) })
}

func sign(t testing.TB, s *lists.Signer, o lists.Style) string {
	t.Helper()
	text, err := lists.Sign(document, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// xmlsec runs the peer; a missing one is a failure that says what to install.
func xmlsec(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath("xmlsec1"); err != nil {
		t.Fatal("xmlsec1 is missing: make deps")
	}
	return exec.Command("xmlsec1", args...).CombinedOutput()
}

var idAttributes = []string{"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--id-attr:Id", "urn:x:list"}

// Ours is judged by xmlsec1, and xmlsec1's by us.
func TestSignaturesAsXMLSec(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.RSA3072, pki.P256, pki.P384, pki.P521} {
		s := signer(t, alg)
		cert := write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Cert.Raw})))
		der, err := x509.MarshalPKCS8PrivateKey(s.Key)
		if err != nil {
			t.Fatal(err)
		}
		key := write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		for _, o := range []lists.Style{{}, {V2: true}, {Inclusive: true}, {ByID: true}, {PSS: strings.HasPrefix(string(alg), "rsa")}} {
			if o.PSS {
				// Debian 12's xmlsec1 has no RSA-PSS: crypto/rsa signs and checks.
				if _, err := whole(sign(t, s, o), s); err != nil {
					t.Errorf("%s PSS: %v", alg, err)
				}
				continue
			}
			text := sign(t, s, o)
			if _, err := whole(text, s); err != nil {
				t.Errorf("%s %+v: %v", alg, o, err)
			}
			out, err := xmlsec(t, append(append([]string{"verify", "--pubkey-cert-pem", cert}, idAttributes...), write("ours.xml", text))...)
			if err != nil {
				t.Errorf("%s %+v: xmlsec1: %v\n%s", alg, o, err, out)
			}
			// The other way: the same template without digests and value.
			i := strings.LastIndex(document, "</")
			empty := strings.NewReplacer("DIGEST0", "", "DIGEST1", "", "VALUE", "").Replace(lists.Template(s, o))
			theirs := filepath.Join(dir, "theirs.xml")
			out, err = xmlsec(t, append(append([]string{"sign", "--privkey-pem", key, "--output", theirs}, idAttributes...), write("template.xml", document[:i]+empty+document[i:]))...)
			if err != nil {
				t.Fatalf("%s: xmlsec1: %v\n%s", alg, err, out)
			}
			data, err := os.ReadFile(theirs)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := whole(string(data), s); err != nil {
				t.Errorf("%s %+v, made by xmlsec1: %v", alg, o, err)
			}
			changed := strings.Replace(string(data), "more", "m0re", 1)
			if _, err := whole(changed, s); !errors.Is(err, xmldsig.ErrDigest) {
				t.Errorf("%s changed: %v", alg, err)
			}
			if _, err := xmlsec(t, append(append([]string{"verify", "--pubkey-cert-pem", cert}, idAttributes...), write("changed.xml", changed))...); err == nil {
				t.Errorf("xmlsec1 accepts the changed file")
			}
		}
	}
}

func TestSigned(t *testing.T) {
	s := signer(t, pki.P256)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := whole(sign(t, s, lists.Style{Time: at}), s)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Time.Equal(at) || !bytes.Equal(got.Certificate, s.Cert.Raw) || len(got.Old) != 1 {
		t.Errorf("%+v", got)
	}
	if got, err = whole(sign(t, s, lists.Style{V2: true}), s); err != nil || len(got.Old) != 0 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := whole(sign(t, s, lists.Style{Time: s.Cert.NotAfter.AddDate(1, 0, 0)}), s); !errors.Is(err, xades.ErrProperties) {
		t.Errorf("signed after the certificate's end: %v", err)
	}
}

// Each attack is made by the signer's own key where that is possible: the form alone has
// to be refused.
func TestAttackForms(t *testing.T) {
	s := signer(t, pki.P256)
	template := func(old, text string) lists.Style {
		return lists.Style{Template: func(x string) string {
			if !strings.Contains(x, old) {
				t.Fatalf("%q is not in the template", old)
			}
			if strings.HasSuffix(old, "e>") { // a tag, with its end
				return strings.ReplaceAll(x, old, text)
			}
			return strings.Replace(x, old, text, 1)
		}}
	}
	const enveloped = `<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>`
	const ecdsa = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	for name, x := range map[string]struct {
		style lists.Style
		want  error
	}{
		"XPath transform":           {template(enveloped, enveloped+`<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>false()</ds:XPath></ds:Transform>`), xmldsig.ErrForm},
		"XPath filter 2":            {template(enveloped, `<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>`), xmldsig.ErrForm},
		"XSLT transform":            {template(enveloped, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>`), xmldsig.ErrForm},
		"base64 transform":          {template(enveloped, enveloped+`<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>`), xmldsig.ErrForm},
		"enveloped twice":           {template(enveloped, enveloped+enveloped), xmldsig.ErrForm},
		"external reference":        {template(`URI=""`, `URI="http://127.0.0.1:1/list.xml"`), xmldsig.ErrForm},
		"file reference":            {template(`URI=""`, `URI="file:///etc/passwd"`), xmldsig.ErrForm},
		"XPointer":                  {template(`URI=""`, `URI="#xpointer(/)"`), xmldsig.ErrForm},
		"no URI":                    {template(`URI=""`, ``), xmldsig.ErrForm},
		"reference to nothing":      {template(`URI=""`, `URI="#absent"`), xmldsig.ErrForm},
		"reference to a part":       {template(`URI=""><ds:Transforms>`+enveloped, `URI="#part"><ds:Transforms>`), xades.ErrScope},
		"part, as if enveloping":    {template(`URI=""`, `URI="#part"`), xmldsig.ErrForm},
		"not enveloped":             {template(enveloped, ``), xades.ErrScope},
		"HMAC":                      {template(ecdsa, "http://www.w3.org/2000/09/xmldsig#hmac-sha1"), xmldsig.ErrAlgorithm},
		"HMAC truncated":            {template(`<ds:SignatureMethod Algorithm="`+ecdsa+`"/>`, `<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>`), xmldsig.ErrAlgorithm},
		"output length":             {template(`#ecdsa-sha256"/>`, `#ecdsa-sha256"><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>`), xmldsig.ErrForm},
		"no algorithm":              {template(ecdsa, ""), xmldsig.ErrAlgorithm},
		"other key's algorithm":     {template(ecdsa, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"), xmldsig.ErrAlgorithm},
		"MD5":                       {template("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#md5"), xmldsig.ErrAlgorithm},
		"SHA-1 signature":           {template(ecdsa, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"), xades.ErrWeak},
		"unknown element":           {template(`</ds:SignedInfo>`, `<ds:Reference2/></ds:SignedInfo>`), xmldsig.ErrForm},
		"two SignedInfo":            {template(`<ds:SignatureValue>`, `<ds:SignedInfo/><ds:SignatureValue>`), xmldsig.ErrForm},
		"two values":                {template(`<ds:KeyInfo>`, `<ds:SignatureValue/><ds:KeyInfo>`), xmldsig.ErrForm},
		"no properties' type":       {template(`Type="http://uri.etsi.org/01903#SignedProperties" `, ``), xades.ErrProperties},
		"another Target":            {template(`Target="#sig"`, `Target="#other"`), xades.ErrProperties},
		"no SigningTime":            {template("xades:SigningTime>", "xades:SigningDay>"), xades.ErrProperties},
		"empty SigningCertificate":  {template("xades:SigningCertificate>", "xades:Other>"), xades.ErrProperties},
		"two qualifying properties": {template(`</ds:Object>`, `<xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig"/></ds:Object>`), xades.ErrProperties},
		"fake signed properties": {template(`</ds:Object>`, `</ds:Object><ds:Object><x><xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig"><xades:SignedProperties Id="fake"/></xades:QualifyingProperties></x></ds:Object>`),
			xades.ErrProperties},
		"properties reference to another": {template(`URI="#props"`, `URI="#sig"`), xades.ErrProperties},
		"nested signature":                {template(`</ds:Object>`, `<ds:Signature/></ds:Object>`), xades.ErrScope},
	} {
		doc := strings.Replace(document, "<a ", `<a Id="part" `, 1)
		text, err := lists.Sign(doc, s, x.style)
		if err == nil {
			_, err = whole(text, s)
		}
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// XML signature wrapping: what was signed is moved, and something else stands in its
// place (Somorovsky and others, 2012).
func TestAttackWrapping(t *testing.T) {
	s := signer(t, pki.P256)
	good := sign(t, s, lists.Style{ByID: true})
	_, inner, _ := strings.Cut(good, "<list")
	inner = "<list" + inner
	signature := inner[strings.Index(inner, "<ds:Signature"):strings.LastIndex(inner, "</list>")]
	evil := `<list xmlns="urn:x" Id="list" xmlns:u="urn:u"><a u:b="1">evil</a>`
	withoutID := strings.Replace(evil, ` Id="list"`, "", 1)
	original := strings.Replace(inner, signature, "", 1)
	inObject := strings.Replace(signature, "</ds:Object>", "</ds:Object><ds:Object>"+original+"</ds:Object>", 1)
	props := signature[strings.Index(signature, "<xades:SignedProperties"):strings.Index(signature, "</xades:QualifyingProperties>")]
	for name, x := range map[string]struct {
		text string
		want error
	}{
		"original wrapped in the new root, signature inside it": {withoutID + inner + "</list>", xades.ErrScope},
		"original moved beside the signature":                   {withoutID + original + signature + "</list>", xmldsig.ErrForm},
		"original moved into an Object":                         {withoutID + inObject + "</list>", xmldsig.ErrForm},
		"both with the same Id":                                 {evil + original + signature + "</list>", xmldsig.ErrDuplicateID},
		"new content in front of the signature":                 {strings.Replace(good, "<ds:Signature", "<a>evil</a><ds:Signature", 1), xmldsig.ErrDigest},
		"new content after the signature":                       {strings.Replace(good, "</list>", "<a>evil</a></list>", 1), xmldsig.ErrDigest},
		"content in the signature":                              {strings.Replace(good, "</ds:Object>", "</ds:Object><ds:Object><a xmlns=\"urn:x\">evil</a></ds:Object>", 1), nil}, // nobody reads there
		"two signatures":                                        {strings.Replace(good, "</list>", strings.NewReplacer(`Id="sig"`, `Id="sig2"`, `Id="props"`, `Id="props2"`).Replace(signature)+"</list>", 1), xades.ErrScope},
		"signature deeper in":                                   {strings.Replace(strings.Replace(good, signature, "", 1), "<c>", "<c>"+signature, 1), xades.ErrScope},
		"properties doubled":                                    {strings.Replace(good, props, props+strings.Replace(props, `Id="props"`, `Id="fake"`, 1), 1), xades.ErrProperties},
		"properties changed":                                    {strings.Replace(good, "<xades:SigningTime>2", "<xades:SigningTime>1", 1), nil},
		"unsigned":                                              {original, xades.ErrUnsigned},
		"no certificate":                                        {strings.ReplaceAll(good, "X509Certificate", "X509Other"), xades.ErrSigner},
	} {
		_, err := whole(x.text, s)
		switch {
		case name == "properties changed" && !errors.Is(err, xmldsig.ErrDigest):
			t.Errorf("%s: %v", name, err)
		case name != "properties changed" && !errors.Is(err, x.want):
			t.Errorf("%s: %v", name, err)
		}
	}
	other := signer(t, pki.P256)
	if _, err := whole(sign(t, other, lists.Style{}), s); !errors.Is(err, xades.ErrSigner) {
		t.Errorf("another signer: %v", err)
	}
	// The right certificate in KeyInfo, and another key's value.
	mixed := *other
	mixed.Cert = s.Cert
	if _, err := whole(sign(t, &mixed, lists.Style{}), s); !errors.Is(err, xmldsig.ErrValue) {
		t.Errorf("another key: %v", err)
	}
}

// A certificate that SigningCertificate does not name is not the signer's, although its
// key is.
func TestAttackOtherCertificate(t *testing.T) {
	s := signer(t, pki.P256)
	sum := sha256.Sum256(s.Cert.Raw)
	wrong := sha256.Sum256([]byte("another"))
	text := sign(t, s, lists.Style{Template: func(x string) string {
		return strings.Replace(x, base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(wrong[:]), 1)
	}})
	if _, err := whole(text, s); !errors.Is(err, xades.ErrProperties) {
		t.Error(err)
	}
}

// A key on a curve that is not supported is named so.
func TestBrainpool(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.der")
	for _, args := range [][]string{
		{"ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout", "-out", key},
		{"req", "-new", "-x509", "-key", key, "-subj", "/O=CiTel TEST/CN=brainpool", "-days", "30", "-outform", "DER", "-out", cert},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	der, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	s := signer(t, pki.P256)
	s.Cert = &x509.Certificate{Raw: der, SerialNumber: s.Cert.SerialNumber}
	d, err := xmldsig.Parse([]byte(sign(t, s, lists.Style{})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xades.Whole(d, func([]byte) bool { return true }); !errors.Is(err, xades.ErrKey) {
		t.Error(err)
	}
}

func FuzzWhole(f *testing.F) {
	s := signer(f, pki.P256)
	for _, o := range []lists.Style{{}, {V2: true}, {Inclusive: true, ByID: true}} {
		f.Add([]byte(sign(f, s, o)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := xmldsig.Parse(data)
		if err != nil {
			return
		}
		if _, err := xades.Whole(d, func(der []byte) bool { return bytes.Equal(der, s.Cert.Raw) }); err != nil {
			return
		}
		// It holds: then what was signed is what the seeds say.
		var got, want bytes.Buffer
		seed, err := xmldsig.Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		signature := d.Element().Child(xmldsig.Space, "Signature")
		if err := errors.Join(xmldsig.Canonical(&got, d.Element(), xmldsig.ExclusiveC14N, signature), xmldsig.Canonical(&want, seed.Element(), xmldsig.ExclusiveC14N, nil)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("another document holds: %q", got.Bytes())
		}
	})
}
