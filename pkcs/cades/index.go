package cades

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// hashIndex is ats-hash-index in its three versions (EN 319 122-1, 5.5.2; TS 101 733,
// 6.4.2).
type hashIndex struct {
	raw                           []byte
	hash                          crypto.Hash
	version                       int
	certificates, lists, unsigned [][]byte
}

func readHashIndex(attributes []cms.Attribute) (*hashIndex, error) {
	// Newest first, in a fixed order: a token with several must not be read one way
	// today and another tomorrow.
	for i, oid := range []string{cms.OIDHashIndexV3, cms.OIDHashIndexV2, cms.OIDHashIndex} {
		version := 3 - i
		raw, ok := find(attributes, oid)
		if !ok {
			continue
		}
		var v struct {
			Algorithm                     asn1.RawValue
			Certificates, Lists, Unsigned [][]byte
		}
		index := &hashIndex{raw: raw, version: version, hash: crypto.SHA256}
		if _, err := asn1.Unmarshal(raw, &v); err == nil {
			var id asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(v.Algorithm.Bytes, &id); err != nil {
				return nil, fmt.Errorf("its ats-hash-index names no algorithm: %w", err)
			}
			if index.hash = cms.HashByOID(id.String()); index.hash == 0 {
				return nil, fmt.Errorf("its ats-hash-index has the unknown algorithm %s", id)
			}
			index.certificates, index.lists, index.unsigned = v.Certificates, v.Lists, v.Unsigned
			return index, nil
		}
		var short struct{ Certificates, Lists, Unsigned [][]byte } // version 1 leaves SHA-256 out
		if _, err := asn1.Unmarshal(raw, &short); err != nil || version != 1 {
			return nil, fmt.Errorf("its ats-hash-index cannot be read: %w", err)
		}
		index.certificates, index.lists, index.unsigned = short.Certificates, short.Lists, short.Unsigned
		return index, nil
	}
	return nil, nil //nolint:nilnil // absent is a fact, not an error
}

// cover notes what the index proves the existence of, and counts its digests that are
// of nothing in the signature.
func (x *hashIndex) cover(m *cms.Message, si *cms.SignerInfo, f *validation.Facts, t *validation.TimestampFacts) (missing int) {
	t.Covers = append(t.Covers, f.ID)
	// What was found, list by list: an element that stands twice in the file must not
	// make up for one that is gone.
	type entry struct{ list, digest string }
	met := map[entry]bool{}
	listed := func(list string, in [][]byte, raw []byte) bool {
		digest := sum(x.hash, raw)
		ok := slices.ContainsFunc(in, func(d []byte) bool { return bytes.Equal(d, digest) })
		if ok {
			met[entry{list, string(digest)}] = true
		}
		return ok
	}
	for _, raw := range m.RawCertificates {
		if listed("certificates", x.certificates, raw) {
			t.Covers = append(t.Covers, validation.ObjectID(raw))
		}
	}
	for _, raw := range m.RawCRLs {
		if listed("lists", x.lists, raw) {
			t.Covers = append(t.Covers, validation.ObjectID(raw))
			if inner := otherRevocation(raw); inner != nil {
				t.Covers = append(t.Covers, validation.ObjectID(inner))
			}
		}
	}
	for _, a := range si.Unsigned {
		if x.version < 3 {
			if listed("unsigned", x.unsigned, a.Marshal()) {
				x.coverValues(a, t)
			}
			continue
		}
		for _, v := range a.Values {
			if listed("unsigned", x.unsigned, slices.Concat(cms.OID(a.OID), v)) {
				x.coverValues(cms.Attribute{OID: a.OID, Values: [][]byte{v}}, t)
			}
		}
	}
	for list, digests := range map[string][][]byte{"certificates": x.certificates, "lists": x.lists, "unsigned": x.unsigned} {
		for _, d := range digests {
			if !met[entry{list, string(d)}] {
				missing++
			}
		}
	}
	return missing
}

// coverValues: a token that is covered is so with all that it brought along.
func (x *hashIndex) coverValues(a cms.Attribute, t *validation.TimestampFacts) {
	for _, v := range a.Values {
		t.Covers = append(t.Covers, validation.ObjectID(v))
		switch a.OID {
		case cms.OIDSignatureTimestamp, cms.OIDArchiveTimestampV3, cms.OIDArchiveTimestampV2:
			m, err := cms.Parse(bytes.NewReader(v), cms.ParseOptions{})
			if err != nil {
				continue
			}
			for _, raw := range slices.Concat(m.RawCertificates, m.CRLs, m.OCSPs) {
				t.Covers = append(t.Covers, validation.ObjectID(raw))
			}
		case cms.OIDCertValues, cms.OIDRevocationValues:
			certs, lists, responses := values(a)
			for _, raw := range slices.Concat(certs, lists, responses) {
				t.Covers = append(t.Covers, validation.ObjectID(raw))
			}
		}
	}
}
