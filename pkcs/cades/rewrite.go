package cades

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/cms"
)

// rewriting is a SignedData whose content stays and whose rest is put down anew.
type rewriting struct {
	m *cms.Message
	// hash compares the content between the two reads.
	hash                       crypto.Hash
	digests                    []string
	certificates, lists, infos [][]byte // elements
}

// appendNew leaves out what is there already.
func appendNew(list [][]byte, raw []byte) [][]byte {
	if slices.ContainsFunc(list, func(have []byte) bool { return bytes.Equal(have, raw) }) {
		return list
	}
	return append(list, raw)
}

// write puts the pieces down in DER around the same content.
func (r *rewriting) write(ctx context.Context, existing io.Reader, out io.Writer) error {
	m := r.m
	algs := [][]byte{}
	for _, oid := range r.digests {
		algs = appendNew(algs, cms.Sequence(cms.OID(oid)))
	}
	var after []byte
	if len(r.certificates) > 0 {
		after = cms.SetOf(r.certificates...)
		after[0] = cms.TagExplicit0
	}
	if len(r.lists) > 0 {
		lists := cms.SetOf(r.lists...)
		lists[0] = cms.TagExplicit0 | 1
		after = append(after, lists...)
	}
	after = append(after, cms.SetOf(r.infos...)...)

	oid := cms.OID(m.ContentType)
	var exp, octets []byte
	size := int64(0)
	if !m.Detached {
		size = m.ContentBytes
		octets = cms.Header(cms.TagOctetString, size)
		exp = cms.Header(cms.TagExplicit0, int64(len(octets))+size)
	}
	encap := cms.Header(cms.TagSequence, int64(len(oid)+len(exp)+len(octets))+size)
	before := bytes.Join([][]byte{cms.Integer(r.version()), cms.SetOf(algs...), encap, oid, exp, octets}, nil)
	sd := cms.Header(cms.TagSequence, int64(len(before)+len(after))+size)
	sdSize := int64(len(sd)+len(before)+len(after)) + size
	exp0 := cms.Header(cms.TagExplicit0, sdSize)
	signed := cms.OID(cms.OIDSignedData)
	outer := cms.Header(cms.TagSequence, int64(len(signed)+len(exp0))+sdSize)
	if _, err := out.Write(bytes.Join([][]byte{outer, signed, exp0, sd, before}, nil)); err != nil {
		return err
	}
	if !m.Detached {
		again, err := cms.Parse(&ctxReader{ctx, existing}, cms.ParseOptions{Extract: out, Hashes: []crypto.Hash{r.hash}})
		if err != nil {
			return err
		}
		if again.ContentBytes != size || !bytes.Equal(again.Sums[r.hash], m.Sums[r.hash]) {
			return fmt.Errorf("%w: it changed between two reads", ErrContentChanged)
		}
	}
	_, err := out.Write(after)
	return err
}

// version of SignedData (RFC 5652, 5.1): 5 once other revocation information is in it.
func (r *rewriting) version() int64 {
	v := int64(r.m.Version)
	for _, raw := range r.lists {
		if raw[0] == 0xA1 {
			v = 5
		}
	}
	return v
}
