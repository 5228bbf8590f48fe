package cades

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/cms"
)

// StampFunc gets a time-stamp token over a digest (timestamp.Client has one).
type StampFunc func(ctx context.Context, digest []byte, h crypto.Hash) ([]byte, error)

// AugmentOptions says what is added to signatures that exist already.
type AugmentOptions struct {
	// Stamp gives signers without a signature-time-stamp one (B-T); nil adds none.
	Stamp StampFunc
	// Hash of the time-stamps; 0 is SHA-256.
	Hash crypto.Hash
	// Certificates, CRLs (CertificateList) and OCSPs (BasicOCSPResponse), as DER, are
	// the validation data of B-LT.
	Certificates, CRLs, OCSPs [][]byte
}

// Augment writes existing with time-stamps (B-T, ETSI EN 319 122-1, 5.3) and validation
// data in SignedData (B-LT, 6.3 and 5.4). What was signed keeps its bytes. existing is
// read twice; a detached signature needs no content.
func Augment(ctx context.Context, o AugmentOptions, existing io.ReadSeeker, out io.Writer) error {
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	m, err := cms.Parse(&ctxReader{ctx, existing}, cms.ParseOptions{Hashes: []crypto.Hash{o.Hash}})
	if err != nil {
		return err
	}
	if len(m.Signers) == 0 {
		return fmt.Errorf("%w: it has no signer", cms.ErrMalformed)
	}
	r := &rewriting{m: m, hash: o.Hash, digests: m.DigestAlgorithms, certificates: slices.Clone(m.RawCertificates), lists: slices.Clone(m.RawCRLs)}
	for _, c := range o.Certificates {
		r.certificates = appendNew(r.certificates, c)
	}
	for _, c := range o.CRLs {
		r.lists = appendNew(r.lists, c)
	}
	for _, c := range o.OCSPs {
		r.lists = appendNew(r.lists, ocspInfo(c))
	}
	for i := range m.Signers {
		info, err := o.signer(ctx, &m.Signers[i])
		if err != nil {
			return err
		}
		r.infos = append(r.infos, info)
	}
	if _, err := existing.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cades: second read: %w", err)
	}
	return r.write(ctx, existing, out)
}

// signer is a SignerInfo with a time-stamp; one that has it stays as it is.
func (o *AugmentOptions) signer(ctx context.Context, si *cms.SignerInfo) ([]byte, error) {
	if o.Stamp == nil || has(si.Unsigned, cms.OIDSignatureTimestamp) {
		return si.Raw, nil
	}
	token, err := o.Stamp(ctx, sum(o.Hash, si.Signature), o.Hash)
	if err != nil {
		return nil, fmt.Errorf("cades: time-stamp: %w", err)
	}
	el, _, err := cms.Next(si.Raw)
	if err != nil {
		return nil, err
	}
	var parts, attributes [][]byte
	for rest := el.Content; len(rest) > 0; {
		var field cms.Element
		if field, rest, err = cms.Next(rest); err != nil {
			return nil, err
		}
		if field.Tag != tagUnsigned {
			parts = append(parts, field.Raw)
			continue
		}
		for inner := field.Content; len(inner) > 0; {
			var a cms.Element
			if a, inner, err = cms.Next(inner); err != nil {
				return nil, err
			}
			attributes = append(attributes, a.Raw)
		}
	}
	stamp := cms.Attribute{OID: cms.OIDSignatureTimestamp, Values: [][]byte{token}}
	set := cms.SetOf(append(attributes, stamp.Marshal())...)
	set[0] = tagUnsigned
	return cms.Sequence(append(parts, set)...), nil
}

// tagUnsigned is [1] IMPLICIT of SignerInfo (RFC 5652, 5.3).
const tagUnsigned = 0xA1

// ocspInfo is RFC 5940, 2.1: a BasicOCSPResponse as other revocation information.
func ocspInfo(basic []byte) []byte {
	return cms.Context(1, slices.Concat(cms.OID("1.3.6.1.5.5.7.48.1.1"), basic))
}
