package pades

import (
	"context"
	"crypto"
	"io"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pdf"
	"github.com/citel-pa/citel/pkcs/validation"
)

// store is the document security store (EN 319 142-1, 5.4.2), as DER.
type store struct {
	certificates, crls, ocsps [][]byte
	covers                    []string
}

// maxStored bounds the objects of one kind.
const maxStored = 512

func securityStore(f *pdf.File) *store {
	s := &store{}
	dss := f.Dict(f.Catalog()["DSS"])
	if dss == nil || f.Locked() {
		return s
	}
	each := func(key pdf.Name) (out [][]byte) {
		for _, o := range f.Array(dss[key]) {
			if len(out) >= maxStored {
				break
			}
			if stream, ok := f.Resolve(o).(*pdf.Stream); ok {
				if der, err := f.Decode(stream); err == nil {
					out = append(out, der)
				}
			}
		}
		return out
	}
	s.certificates, s.crls = each("Certs"), each("CRLs")
	for _, der := range each("OCSPs") {
		if basic := cades.BasicResponse(der); basic != nil {
			s.ocsps = append(s.ocsps, basic)
		}
	}
	for _, set := range [][][]byte{s.certificates, s.crls, s.ocsps} {
		for _, der := range set {
			s.covers = append(s.covers, validation.ObjectID(der))
		}
	}
	return s
}

func (s *store) addTo(f *validation.Facts) {
	f.Certificates = append(f.Certificates, s.certificates...)
	f.CRLs, f.OCSPs = append(f.CRLs, s.crls...), append(f.OCSPs, s.ocsps...)
}

// readStamp reads a document time-stamp (EN 319 142-1, 5.4.3): its imprint is over what
// its ByteRange covers.
func (d *document) readStamp(ctx context.Context, s *signature) {
	t := cades.ReadTimestamp(ctx, s.value(), "document", func(h crypto.Hash) []byte {
		content := d.covered(s)
		if content == nil {
			return nil
		}
		sum := h.New()
		if _, err := io.Copy(sum, content); err != nil {
			return nil
		}
		return sum.Sum(nil)
	})
	t.Faults = append(t.Faults, s.faults...)
	s.stamp = &t
}

// documentStamps gives each signature the document time-stamps of later revisions, and
// each of those what it proves the existence of: all that stood before it.
func (d *document) documentStamps() {
	for i, s := range d.signatures {
		if s.stamp == nil {
			continue
		}
		t := s.stamp
		if s.revision != nil {
			t.Covers = securityStore(s.revision).covers
		}
		for _, before := range d.signatures[:i] {
			if before.end > s.end {
				continue
			}
			switch {
			case before.stamp != nil:
				t.Covers = append(t.Covers, before.stamp.ID)
				t.Covers = append(t.Covers, brought(before.stamp.Token)...)
			case before.facts != nil:
				t.Covers = append(t.Covers, before.facts.ID)
				t.Covers = append(t.Covers, brought(before.facts)...)
				for _, x := range before.facts.Timestamps {
					t.Covers = append(append(t.Covers, x.ID), brought(x.Token)...)
				}
			}
		}
		for _, before := range d.signatures[:i] {
			if before.facts != nil && before.end <= s.end && !before.facts.Unread {
				before.facts.Timestamps = append(before.facts.Timestamps, *t)
			}
		}
	}
}

// brought are the ids of what came with a signature.
func brought(f *validation.Facts) (out []string) {
	if f == nil {
		return nil
	}
	for _, set := range [][][]byte{f.Certificates, f.CRLs, f.OCSPs} {
		for _, der := range set {
			out = append(out, validation.ObjectID(der))
		}
	}
	return out
}

// stampAfterStore tells whether a document time-stamp covers the security store.
func (d *document) stampAfterStore(s *signature) bool {
	for _, t := range d.signatures {
		if t.stamp != nil && t.stamp.ImprintMatch && t.end > s.end && t.revision != nil && t.revision.Dict(t.revision.Catalog()["DSS"]) != nil {
			return true
		}
	}
	return false
}
