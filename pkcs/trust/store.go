package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
)

// Errors of AddPEM.
var (
	// ErrTestAnchor: the anchor carries the mark of test material, and the store
	// was not told to accept it.
	ErrTestAnchor = errors.New("trust: this is test material (" + TestOrganization + "); it is accepted in the demo only")
	// ErrNoAnchor: the PEM text holds no certificate.
	ErrNoAnchor = errors.New("trust: no certificate in the PEM text")
)

// maxAnchors bounds a store; Italy's list has some 450 services.
const maxAnchors = 10_000

// Anchor is a certificate that a path may end at, with what it is listed for.
type Anchor struct {
	Certificate *x509.Certificate
	Profiles    []profile.Profile
	// Source is a file's name or a list's address.
	Source string
	Test   bool
	// Services of trusted lists that have this certificate.
	Services []*Service

	always bool // named by a file: no list's history bounds it
}

// Store holds anchors and helps paths to them. It is safe for concurrent use.
type Store struct {
	allowTest bool

	mu       sync.RWMutex
	files    []*Anchor             // named by files
	listed   map[string][]*Service // trusted lists' services by their source
	anchors  []*Anchor             // of both, see rebuild
	byCert   map[[32]byte]*Anchor
	bySubj   map[string][]*Anchor // by rfc5280.NameKey
	names    map[string]string    // that of the anchors' subjects, by their octets
	crls     []*CRL
	checked  map[[32]byte]bool // signatures of certificates by their issuers, see links.go
	nChecked int
}

// Option of NewStore.
type Option func(*Store)

// AllowTest lets the store take anchors that carry the mark of test material.
func AllowTest() Option { return func(s *Store) { s.allowTest = true } }

// NewStore makes an empty store.
func NewStore(options ...Option) *Store {
	s := &Store{byCert: map[[32]byte]*Anchor{}, bySubj: map[string][]*Anchor{}, names: map[string]string{}, checked: map[[32]byte]bool{}}
	for _, o := range options {
		o(s)
	}
	return s
}

// AddPEM takes every certificate of a PEM text, or of a certificate bag (.p7b: DER or PEM),
// as an anchor listed for the given profiles, and every CRL of the text as a known list. It
// takes all or nothing.
func (s *Store) AddPEM(text []byte, source string, profiles ...profile.Profile) (anchors int, err error) {
	var certs []*x509.Certificate
	var lists []*CRL
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
			c, err := certificate.Parse(block.Bytes)
			if err != nil {
				return 0, fmt.Errorf("trust: %s, certificate %d: %w", source, len(certs)+1, err)
			}
			certs = append(certs, c)
		case "PKCS7", "CMS":
			bag, err := cms.ReadBag(block.Bytes)
			if err != nil {
				return 0, fmt.Errorf("trust: %s: %w", source, err)
			}
			certs = append(certs, bag...)
		case "X509 CRL":
			l, err := ParseCRL(block.Bytes, source)
			if err != nil {
				return 0, fmt.Errorf("trust: %s: %w", source, err)
			}
			lists = append(lists, l)
		}
	}
	if len(certs) == 0 && len(lists) == 0 {
		certs, _ = cms.ReadBag(text) // a .p7b as most systems write it
	}
	if len(certs) == 0 {
		return 0, fmt.Errorf("%w: %s", ErrNoAnchor, source)
	}
	for _, c := range certs {
		if IsTest(c) && !s.allowTest {
			return 0, fmt.Errorf("%w: %s in %s", ErrTestAnchor, c.Subject.CommonName, source)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.anchors)+len(certs) > maxAnchors {
		return 0, fmt.Errorf("trust: more than %d anchors", maxAnchors)
	}
	for _, c := range certs {
		s.add(c, source, profiles)
	}
	s.rebuild()
	s.crls = append(s.crls, lists...)
	return len(certs), nil
}

func (s *Store) add(c *x509.Certificate, source string, profiles []profile.Profile) {
	for _, a := range s.files {
		if a.Certificate.Equal(c) {
			for _, p := range profiles {
				if !slices.Contains(a.Profiles, p) {
					a.Profiles = append(slices.Clone(a.Profiles), p)
				}
			}
			return
		}
	}
	s.files = append(s.files, &Anchor{Certificate: c, Profiles: slices.Clone(profiles), Source: source})
}

// AddCRL adds a list that is known without asking: PEM or DER. A newer list of
// the same issuer takes the older one's place.
func (s *Store) AddCRL(data []byte, source string) error {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	l, err := ParseCRL(data, source)
	if err != nil {
		return fmt.Errorf("trust: %s: %w", source, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.crls {
		if old.Source == source && bytes.Equal(old.list.RawIssuer, l.list.RawIssuer) && !l.list.ThisUpdate.Before(old.list.ThisUpdate) {
			s.crls = slices.Clone(s.crls)
			s.crls[i] = l
			return nil
		}
	}
	s.crls = append(slices.Clone(s.crls), l)
	return nil
}

// Anchors lists what the store trusts.
func (s *Store) Anchors() []*Anchor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.anchors)
}

// HasTest tells whether the store holds test material.
func (s *Store) HasTest() bool {
	return slices.ContainsFunc(s.Anchors(), func(a *Anchor) bool { return a.Test })
}

// anchorOf finds the anchor that is this very certificate.
func (s *Store) anchorOf(c *x509.Certificate) *Anchor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byCert[sha256.Sum256(c.Raw)]
}

func (s *Store) anchorsNamed(subject []byte) []*Anchor {
	s.mu.RLock()
	name, known := s.names[string(subject)]
	anchors := s.bySubj[name]
	s.mu.RUnlock()
	if known {
		return anchors
	}
	name = rfc5280.NameKey(subject)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bySubj[name]
}
