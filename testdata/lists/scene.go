package lists

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	"github.com/citel-pa/citel/testdata/pki"
)

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// Scene is a LOTL with one pivot and an Italian list that has the issuers of a test PKI.
// Official signs the pivot, which hands over to Union; Union signs the LOTL; Italy the
// national list.
type Scene struct {
	Official, Union, Italy *Signer
	// Base is the address that the lists are at, without a slash at the end.
	Base  string
	LOTL  *List
	Pivot *List
	IT    *List
	Style Style
}

// NewScene makes the lists of a PKI. Its services count since ten years ago.
func NewScene(p *pki.PKI, base string) (*Scene, error) {
	s := &Scene{Base: base}
	for _, x := range []struct {
		to   **Signer
		name string
		alg  pki.KeyAlg
	}{{&s.Official, "CiTel TEST LOTL 1", pki.P384}, {&s.Union, "CiTel TEST LOTL 2", pki.P256}, {&s.Italy, "CiTel TEST TSL IT", pki.P256}} {
		var err error
		if *x.to, err = NewSigner(x.name, x.alg); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	issued, next, since := now.AddDate(0, 0, -2), now.AddDate(0, 5, 0), now.AddDate(-10, 0, 0)
	pointer := func(signer *Signer) Pointer {
		return Pointer{Location: base + "/eu-lotl.xml", Territory: "EU", Type: TypeLOTL, Signers: []*x509.Certificate{signer.Cert}}
	}
	s.Pivot = &List{Version: 5, Sequence: 300, Type: TypeLOTL, Territory: "EU", Issued: now.AddDate(-1, 0, 0), NextUpdate: now.AddDate(0, -6, 0), Pointers: []Pointer{pointer(s.Union)}}
	s.LOTL = &List{Version: 6, Sequence: 332, Type: TypeLOTL, Territory: "EU", Issued: issued, NextUpdate: next,
		URIs:     []string{base + "/eu-lotl-pivot-300.xml", "https://eur-lex.europa.eu/eli/C/2026/1944/oj", base + "/older.xml"},
		Pointers: []Pointer{pointer(s.Union), {Location: base + "/TSL-IT.xml", Territory: "IT", Type: TypeEU, Signers: []*x509.Certificate{s.Italy.Cert}}}}
	s.IT = &List{Version: 5, Sequence: 194, Type: TypeEU, Territory: "IT", Issued: issued, NextUpdate: next, Services: []Service{
		{Provider: "CiTel TEST", Name: "CiTel TEST Qualified CA", Certs: []*x509.Certificate{p.Qualified.Cert}, State: State{Type: CAQC, Status: Granted, From: since, Uses: []string{ForeSignatures}}},
		{Provider: "CiTel TEST", Name: "CiTel TEST CNS CA", Certs: []*x509.Certificate{p.CNS.Cert}, State: State{Type: IdV, Status: Recognised, From: since}},
		{Provider: "Ministero dell'Interno", Name: "CiTel TEST CIE CA", Certs: []*x509.Certificate{p.CIE.Cert}, State: State{Type: IdV, Status: Recognised, From: since}},
		{Provider: "CiTel TEST", Name: "CiTel TEST TSA", Certs: []*x509.Certificate{p.TSA.Cert}, State: State{Type: TSAQTST, Status: Granted, From: since}},
	}}
	return s, nil
}

// Files signs the lists: names as in their addresses, to contents.
func (s *Scene) Files() (map[string]string, error) {
	out := map[string]string{}
	for name, x := range map[string]struct {
		list   *List
		signer *Signer
	}{"eu-lotl.xml": {s.LOTL, s.Union}, "eu-lotl-pivot-300.xml": {s.Pivot, s.Official}, "TSL-IT.xml": {s.IT, s.Italy}} {
		style := s.Style
		style.V2 = style.V2 || x.list.Version == 6
		text, err := Sign(x.list.XML(), x.signer, style)
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

// Write puts the files into a folder and gives the LOTL's name.
func (s *Scene) Write(dir string) (string, error) {
	files, err := s.Files()
	if err != nil {
		return "", err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "eu-lotl.xml"), nil
}
