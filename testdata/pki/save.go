package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// saved is one authority on disk.
type saved struct {
	Cert, Key []byte
	Revoked   []savedEntry
	Number    int64
}

type savedEntry struct {
	Serial string
	At     time.Time
	Reason int
}

const saveFile = "pki.json"

// Save writes the PKI with its keys into dir (made 0700), so that a demo, a
// token command and a server can share it.
func (p *PKI) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	all := map[string]saved{}
	for name, ca := range p.authorities() {
		s, err := save(ca.Cert, ca.Key)
		if err != nil {
			return err
		}
		ca.mu.Lock()
		s.Number = ca.number
		for _, e := range ca.revoked {
			s.Revoked = append(s.Revoked, savedEntry{e.SerialNumber.Text(16), e.RevocationTime, e.ReasonCode})
		}
		ca.mu.Unlock()
		all[name] = s
	}
	for name, id := range map[string]*Identity{"ocsp": p.OCSP, "tsa": p.TSA} {
		s, err := save(id.Cert, id.Key)
		if err != nil {
			return err
		}
		all[name] = s
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, saveFile), data, 0o600)
}

func (p *PKI) authorities() map[string]*CA {
	return map[string]*CA{"root": p.Root, "cns": p.CNS, "cie": p.CIE, "qualified": p.Qualified}
}

func save(cert *x509.Certificate, key crypto.Signer) (saved, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return saved{Cert: cert.Raw, Key: der}, err
}

// Load reads what Save wrote.
func Load(dir string) (*PKI, error) {
	data, err := os.ReadFile(filepath.Join(dir, saveFile))
	if err != nil {
		return nil, err
	}
	var all map[string]saved
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("pki: %s: %w", saveFile, err)
	}
	load := func(name string) (*CA, error) {
		s := all[name]
		cert, err := x509.ParseCertificate(s.Cert)
		if err != nil {
			return nil, fmt.Errorf("pki: %s: %w", name, err)
		}
		k, err := x509.ParsePKCS8PrivateKey(s.Key)
		if err != nil {
			return nil, fmt.Errorf("pki: %s: %w", name, err)
		}
		signer, ok := k.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("pki: %s: not a signing key", name)
		}
		ca := &CA{Cert: cert, Key: signer, number: s.Number}
		for _, e := range s.Revoked {
			n, ok := new(big.Int).SetString(e.Serial, 16)
			if !ok {
				return nil, fmt.Errorf("pki: %s: bad serial", name)
			}
			ca.revoked = append(ca.revoked, x509.RevocationListEntry{SerialNumber: n, RevocationTime: e.At, ReasonCode: e.Reason})
		}
		return ca, nil
	}
	p := &PKI{}
	var ocsp, tsa *CA
	for name, to := range map[string]**CA{"root": &p.Root, "cns": &p.CNS, "cie": &p.CIE, "qualified": &p.Qualified, "ocsp": &ocsp, "tsa": &tsa} {
		if *to, err = load(name); err != nil {
			return nil, err
		}
	}
	p.OCSP = &Identity{Cert: ocsp.Cert, Key: ocsp.Key, Chain: p.chain(p.CNS)}
	p.TSA = &Identity{Cert: tsa.Cert, Key: tsa.Key, Chain: p.chain(p.Root)}
	return p, nil
}

// LoadOrNew loads the PKI of dir, or makes and saves one.
func LoadOrNew(dir string) (*PKI, error) {
	p, err := Load(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if p, err = New(); err != nil {
		return nil, err
	}
	return p, p.Save(dir)
}

// KeyPEM writes a private key as PKCS#8 PEM, for peers like openssl.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
