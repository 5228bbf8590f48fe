package cades

import (
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
	r := rewriting{m: m, hash: s.scheme.Hash}
	r.digests = append(slices.Clone(m.DigestAlgorithms), cms.OIDByHash(s.scheme.Hash))
	r.certificates = slices.Clone(m.RawCertificates)
	for _, c := range slices.Concat(o.Chain, []*x509.Certificate{o.Certificate}) {
		r.certificates = appendNew(r.certificates, c.Raw)
	}
	r.lists = m.RawCRLs
	for _, si := range m.Signers {
		r.infos = append(r.infos, si.Raw)
	}
	r.infos = append(r.infos, info)
	return r.write(ctx, existing, out)
}
