package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/cms"
)

// ErrNoContent means that a signer cannot be added without the content.
var ErrNoContent = errors.New("cades: the content of the detached signature is missing")

// AddSigner writes existing with a second, parallel signer (RFC 5652, 5.1: one
// SignerInfo each). The other signers' bytes stay as they are, so their
// signatures hold as before. existing is read twice; content is that of a
// detached signature, else nil.
func AddSigner(ctx context.Context, o SignOptions, existing io.ReadSeeker, content io.Reader, out io.Writer) error {
	s, err := newSignature(o)
	if err != nil {
		return err
	}
	m, err := cms.Parse(&ctxReader{ctx, existing}, cms.ParseOptions{
		Content: withContext(ctx, content), Hashes: []crypto.Hash{s.scheme.Hash},
	})
	if err != nil {
		return err
	}
	if !m.ContentGiven {
		return ErrNoContent
	}
	if len(m.Signers) == 0 {
		return fmt.Errorf("%w: it has no signer", cms.ErrMalformed)
	}
	info, err := s.signerInfo(ctx, m.ContentType, m.Sums[s.scheme.Hash])
	if err != nil {
		return err
	}
	if _, err := existing.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cades: second read: %w", err)
	}
	return s.rewrite(ctx, m, info, existing, out)
}

// rewrite puts the pieces down again in DER around the same content.
func (s *signature) rewrite(ctx context.Context, m *cms.Message, info []byte, existing io.Reader, out io.Writer) error {
	algs := [][]byte{}
	for _, oid := range append(slices.Clone(m.DigestAlgorithms), cms.OIDByHash(s.scheme.Hash)) {
		alg := cms.Sequence(cms.OID(oid))
		if !slices.ContainsFunc(algs, func(a []byte) bool { return bytes.Equal(a, alg) }) {
			algs = append(algs, alg)
		}
	}
	certs := slices.Clone(m.RawCertificates)
	for _, c := range slices.Concat(s.opts.Chain, []*x509.Certificate{s.opts.Certificate}) {
		if !slices.ContainsFunc(certs, func(raw []byte) bool { return bytes.Equal(raw, c.Raw) }) {
			certs = append(certs, c.Raw)
		}
	}
	set := cms.SetOf(certs...)
	set[0] = cms.TagExplicit0
	after := set
	if len(m.RawCRLs) > 0 {
		crls := cms.SetOf(m.RawCRLs...)
		crls[0] = cms.TagExplicit0 | 1
		after = append(after, crls...)
	}
	infos := make([][]byte, 0, len(m.Signers)+1)
	for _, si := range m.Signers {
		infos = append(infos, si.Raw)
	}
	after = append(after, cms.SetOf(append(infos, info)...)...)

	oid := cms.OID(m.ContentType)
	var exp, octets []byte
	size := int64(0)
	if !m.Detached {
		size = m.ContentBytes
		octets = cms.Header(cms.TagOctetString, size)
		exp = cms.Header(cms.TagExplicit0, int64(len(octets))+size)
	}
	encap := cms.Header(cms.TagSequence, int64(len(oid)+len(exp)+len(octets))+size)
	before := bytes.Join([][]byte{cms.Integer(int64(m.Version)), cms.SetOf(algs...), encap, oid, exp, octets}, nil)
	sd := cms.Header(cms.TagSequence, int64(len(before)+len(after))+size)
	sdSize := int64(len(sd)+len(before)+len(after)) + size
	exp0 := cms.Header(cms.TagExplicit0, sdSize)
	signed := cms.OID(cms.OIDSignedData)
	outer := cms.Header(cms.TagSequence, int64(len(signed)+len(exp0))+sdSize)
	if _, err := out.Write(bytes.Join([][]byte{outer, signed, exp0, sd, before}, nil)); err != nil {
		return err
	}
	if !m.Detached {
		again, err := cms.Parse(&ctxReader{ctx, existing}, cms.ParseOptions{Extract: out, Hashes: []crypto.Hash{s.scheme.Hash}})
		if err != nil {
			return err
		}
		if again.ContentBytes != size || !bytes.Equal(again.Sums[s.scheme.Hash], m.Sums[s.scheme.Hash]) {
			return fmt.Errorf("%w: it changed between two reads", ErrContentChanged)
		}
	}
	_, err := out.Write(after)
	return err
}
