package cms

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// stream reads BER from a reader and knows where it is.
type stream struct {
	br  *bufio.Reader
	off int64
	hdr [10]byte // the last header read
	// tee sees every octet that is read, while it is set.
	tee io.Writer
}

// seen tells tee.
func (s *stream) seen(b []byte) {
	if s.tee != nil {
		_, _ = s.tee.Write(b) // hashes and a buffer: they do not fail
	}
}

// scope is a constructed element that is being read. end is the offset after
// its content, -1 when its length is indefinite.
type scope struct{ end int64 }

func (s *stream) readByte() (byte, error) {
	b, err := s.br.ReadByte()
	if err != nil {
		return 0, cut(err)
	}
	s.off++
	return b, nil
}

// cut turns an end of input, wherever it comes, into ErrMalformed.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("cut off")
	}
	return fmt.Errorf("cms: read: %w", err)
}

// header reads an identifier and a length inside a scope.
func (s *stream) header(in scope) (tag byte, length int64, raw []byte, err error) {
	raw = s.hdr[:0]
	for range 2 {
		b, err := s.readByte()
		if err != nil {
			return 0, 0, nil, err
		}
		raw = append(raw, b)
	}
	if l := raw[1]; l > 0x80 && l&0x7f <= 8 {
		for range int(l & 0x7f) {
			b, err := s.readByte()
			if err != nil {
				return 0, 0, nil, err
			}
			raw = append(raw, b)
		}
	}
	s.seen(raw)
	tag, n, _, err := header(raw)
	if err != nil {
		return 0, 0, nil, err
	}
	length = int64(n)
	if in.end >= 0 && (s.off > in.end || length >= 0 && length > in.end-s.off) {
		return 0, 0, nil, malformed("an element reaches over the end of the one around it")
	}
	return tag, length, raw, nil
}

// enter reads the header of a constructed element with the given tag.
func (s *stream) enter(in scope, tag byte) (scope, error) {
	got, length, _, err := s.header(in)
	if err != nil {
		return scope{}, err
	}
	if got != tag {
		return scope{}, malformed("tag %#02x where %#02x belongs", got, tag)
	}
	return s.scope(in, length), nil
}

func (s *stream) scope(in scope, length int64) scope {
	if length >= 0 {
		return scope{s.off + length}
	}
	_ = in // an indefinite child ends by its own end-of-contents octets
	return scope{-1}
}

// atEnd tells whether a scope is read to its end, and takes the end-of-contents
// octets off an indefinite one.
func (s *stream) atEnd(sc scope) (bool, error) {
	if sc.end >= 0 {
		if s.off > sc.end {
			return false, malformed("an element reaches over the end of the one around it")
		}
		return s.off == sc.end, nil
	}
	b, err := s.br.Peek(2)
	if err != nil {
		return false, cut(err)
	}
	if b[0] != 0 || b[1] != 0 {
		return false, nil
	}
	s.seen(b)
	if _, err := s.br.Discard(2); err != nil {
		return false, cut(err)
	}
	s.off += 2
	return true, nil
}

// leave demands that a scope is at its end.
func (s *stream) leave(sc scope) error {
	end, err := s.atEnd(sc)
	if err == nil && !end {
		return malformed("more in an element than belongs there")
	}
	return err
}

// peekTag looks at the next identifier octet.
func (s *stream) peekTag() (byte, error) {
	b, err := s.br.Peek(1)
	if err != nil {
		return 0, cut(err)
	}
	return b[0], nil
}

// element reads one whole element into memory, bounded by budget, which is
// lowered by what was read.
func (s *stream) element(in scope, budget *int64) (Element, error) {
	raw, err := s.collect(nil, in, budget, 0)
	if err != nil {
		return Element{}, err
	}
	el, _, err := Next(raw)
	return el, err
}

func (s *stream) collect(dst []byte, in scope, budget *int64, depth int) ([]byte, error) {
	_, length, raw, err := s.header(in)
	if err != nil {
		return nil, err
	}
	*budget -= int64(len(raw)) + max(length, 0)
	if *budget < 0 {
		return nil, fmt.Errorf("%w: certificates, revocation data and signers", ErrTooLarge)
	}
	dst = append(dst, raw...)
	if length >= 0 {
		return s.take(dst, length)
	}
	if depth >= maxDepth {
		return nil, malformed("nested too deeply")
	}
	for {
		end, err := s.atEnd(scope{-1})
		if err != nil {
			return nil, err
		}
		if end {
			return append(dst, 0, 0), nil
		}
		if dst, err = s.collect(dst, in, budget, depth+1); err != nil {
			return nil, err
		}
	}
}

// take appends n bytes, growing as they arrive: a length that lies does not
// reserve memory.
func (s *stream) take(dst []byte, n int64) ([]byte, error) {
	for n > 0 {
		piece := min(n, bufferSize)
		at := len(dst)
		dst = append(dst, make([]byte, piece)...)
		if _, err := io.ReadFull(s.br, dst[at:]); err != nil {
			return nil, cut(err)
		}
		s.seen(dst[at:])
		s.off += piece
		n -= piece
	}
	return dst, nil
}

// copyOctets writes the content of an OCTET STRING, whatever its form, to w.
func (s *stream) copyOctets(in scope, w io.Writer, depth int) (int64, error) {
	tag, length, _, err := s.header(in)
	if err != nil {
		return 0, err
	}
	switch {
	case tag == tagOctetString:
		n, err := s.copyN(w, length)
		return n, err
	case tag != tagOctetString|tagConstructed:
		return 0, fmt.Errorf("%w: the content is not an OCTET STRING (tag %#02x)", ErrMalformed, tag)
	case depth >= maxDepth:
		return 0, malformed("nested too deeply")
	}
	sc := s.scope(in, length)
	var total int64
	for {
		end, err := s.atEnd(sc)
		if err != nil || end {
			return total, err
		}
		n, err := s.copyOctets(sc, w, depth+1)
		total += n
		if err != nil {
			return total, err
		}
	}
}

// copyN hands out the buffer itself, so that nothing is copied twice.
func (s *stream) copyN(w io.Writer, n int64) (int64, error) {
	left := n
	for left > 0 {
		if s.br.Buffered() == 0 {
			if _, err := s.br.Peek(1); err != nil {
				return n - left, cut(err)
			}
		}
		b, err := s.br.Peek(int(min(left, int64(s.br.Buffered()))))
		if err != nil {
			return n - left, cut(err)
		}
		s.seen(b)
		if _, err := w.Write(b); err != nil {
			return n - left, err
		}
		if _, err := s.br.Discard(len(b)); err != nil {
			return n - left, cut(err)
		}
		s.off += int64(len(b))
		left -= int64(len(b))
	}
	return n, nil
}
