package cades

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/citel-pa/citel/pkcs/cms"
)

// ErrContentChanged means that the content was not as long as announced.
var ErrContentChanged = errors.New("cades: the content is not as long as announced")

// copyBuffer is the size of the pieces that are hashed and written.
const copyBuffer = 256 << 10

// smallContent may be held in memory where the output cannot be written twice.
const smallContent = 1 << 20

// Sign makes a CAdES-B-B signature over content and writes the file to out.
//
// size is the content's length in bytes, -1 when not known. The content is read
// once and never held in memory. The result is DER: the lengths before the
// content depend on the signature after it, so where the signature's size is not
// known beforehand (ECDSA) out is written again at its start if it is an
// io.WriterAt, such as a file. Where that is not possible, and where size is
// unknown, the outer lengths are indefinite (BER), which every CMS reader takes.
func Sign(ctx context.Context, o SignOptions, content io.Reader, size int64, out io.Writer) error {
	s, err := newSignature(o)
	if err != nil {
		return err
	}
	if o.Detached {
		return s.detached(ctx, content, out)
	}
	if size < 0 {
		return s.indefinite(ctx, content, out)
	}
	least, most, err := s.size()
	if err != nil {
		return err
	}
	head := s.prefix(size, most)
	patch := least != most
	at, seekable := out.(io.WriterAt)
	switch {
	case !patch:
	case len(head) != len(s.prefix(size, least)) || !seekable:
		// The header's own length depends on the signature, or it cannot be
		// written again.
		if size <= smallContent {
			return s.buffered(ctx, content, size, out)
		}
		return s.indefinite(ctx, content, out)
	}
	start, err := offset(out, patch)
	if err != nil {
		return err
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	digest, n, err := s.copyContent(ctx, content, out)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: %d bytes, not %d", ErrContentChanged, n, size)
	}
	info, err := s.signerInfo(ctx, cms.OIDData, digest)
	if err != nil {
		return err
	}
	if _, err := out.Write(s.suffix(info)); err != nil {
		return err
	}
	if !patch {
		return nil
	}
	_, err = at.WriteAt(s.prefix(size, int64(len(info))), start)
	return err
}

// offset is where the file begins in out: 0 unless out was written to before.
func offset(out io.Writer, wanted bool) (int64, error) {
	if !wanted {
		return 0, nil
	}
	if sk, ok := out.(io.Seeker); ok {
		return sk.Seek(0, io.SeekCurrent)
	}
	return 0, nil
}

// copyContent hashes and writes in one go.
func (s *signature) copyContent(ctx context.Context, content io.Reader, out io.Writer) (digest []byte, n int64, err error) {
	h := s.scheme.Hash.New()
	w := io.Writer(h)
	if out != nil {
		w = io.MultiWriter(h, out)
	}
	buf := make([]byte, copyBuffer)
	n, err = io.CopyBuffer(struct{ io.Writer }{w}, &ctxReader{ctx, content}, buf)
	if err != nil {
		return nil, n, fmt.Errorf("cades: content: %w", err)
	}
	return h.Sum(nil), n, nil
}

// prefix is everything before the content's bytes.
func (s *signature) prefix(size, infoSize int64) []byte {
	octets := append(cms.Header(cms.TagOctetString, size), nil...)
	exp := cms.Header(cms.TagExplicit0, int64(len(octets))+size)
	oid := cms.OID(cms.OIDData)
	encap := cms.Header(cms.TagSequence, int64(len(oid)+len(exp)+len(octets))+size)
	before := bytes.Join([][]byte{cms.Integer(1), cms.SetOf(cms.DigestIdentifier(s.scheme.Hash)), encap, oid, exp, octets}, nil)
	after := int64(len(certificates(s.opts))) + int64(len(cms.Header(cms.TagSet, infoSize))) + infoSize
	sd := cms.Header(cms.TagSequence, int64(len(before))+size+after)
	sdSize := int64(len(sd)) + int64(len(before)) + size + after
	exp0 := cms.Header(cms.TagExplicit0, sdSize)
	signed := cms.OID(cms.OIDSignedData)
	outer := cms.Header(cms.TagSequence, int64(len(signed)+len(exp0))+sdSize)
	return bytes.Join([][]byte{outer, signed, exp0, sd, before}, nil)
}

// suffix is everything after the content's bytes.
func (s *signature) suffix(infos ...[]byte) []byte {
	return append(certificates(s.opts), cms.SetOf(infos...)...)
}

// detached needs no content in the file, so all lengths are known at the end.
func (s *signature) detached(ctx context.Context, content io.Reader, out io.Writer) error {
	digest, _, err := s.copyContent(ctx, content, nil)
	if err != nil {
		return err
	}
	info, err := s.signerInfo(ctx, cms.OIDData, digest)
	if err != nil {
		return err
	}
	_, err = out.Write(s.whole(cms.Sequence(cms.OID(cms.OIDData)), info))
	return err
}

// buffered makes DER from a small content.
func (s *signature) buffered(ctx context.Context, content io.Reader, size int64, out io.Writer) error {
	var data bytes.Buffer
	digest, n, err := s.copyContent(ctx, io.LimitReader(content, smallContent+1), &data)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: %d bytes, not %d", ErrContentChanged, n, size)
	}
	info, err := s.signerInfo(ctx, cms.OIDData, digest)
	if err != nil {
		return err
	}
	encap := cms.Sequence(cms.OID(cms.OIDData), cms.Context(0, cms.OctetString(data.Bytes())))
	_, err = out.Write(s.whole(encap, info))
	return err
}

func (s *signature) whole(encap, info []byte) []byte {
	sd := cms.Sequence(cms.Integer(1), cms.SetOf(cms.DigestIdentifier(s.scheme.Hash)), encap, certificates(s.opts), cms.SetOf(info))
	return cms.Sequence(cms.OID(cms.OIDSignedData), cms.Context(0, sd))
}

// indefinite writes BER: the content in pieces inside constructed elements of
// indefinite length (X.690, 8.1.3.6).
func (s *signature) indefinite(ctx context.Context, content io.Reader, out io.Writer) error {
	open := func(tag byte) []byte { return []byte{tag, 0x80} }
	head := bytes.Join([][]byte{
		open(cms.TagSequence), cms.OID(cms.OIDSignedData), open(cms.TagExplicit0), open(cms.TagSequence),
		cms.Integer(1), cms.SetOf(cms.DigestIdentifier(s.scheme.Hash)),
		open(cms.TagSequence), cms.OID(cms.OIDData), open(cms.TagExplicit0), open(cms.TagOctetString | 0x20),
	}, nil)
	if _, err := out.Write(head); err != nil {
		return err
	}
	digest, _, err := s.copyContent(ctx, content, &pieces{out})
	if err != nil {
		return err
	}
	info, err := s.signerInfo(ctx, cms.OIDData, digest)
	if err != nil {
		return err
	}
	end := make([]byte, 6) // OCTET STRING, [0], EncapsulatedContentInfo
	tail := append(append(end, s.suffix(info)...), make([]byte, 6)...)
	_, err = out.Write(tail)
	return err
}

// pieces writes each Write as one primitive OCTET STRING.
type pieces struct{ w io.Writer }

func (p *pieces) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if _, err := p.w.Write(cms.Header(cms.TagOctetString, int64(len(b)))); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}
