package pades

import (
	"bytes"
	"fmt"
	"io"

	"github.com/citel-pa/citel/pkcs/validation"
)

// unreadable is a file whose objects cannot be read at all. With the trace of a signature
// in it the answer is about that one, and not that there is none (EN 319 102-1, 5.2.2).
func unreadable(r io.ReaderAt, size int64, why error) ([]*validation.Facts, error) {
	found, err := contains(io.NewSectionReader(r, 0, size), []byte("/ByteRange"))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: %w", ErrNoSignature, why)
	}
	return []*validation.Facts{{
		Format: "PAdES", Level: "-",
		Faults: []validation.Fault{{ID: "pdf-malformed", Text: why.Error()}},
	}}, nil
}

// contains searches a stream through a small window.
func contains(r io.Reader, what []byte) (bool, error) {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		have := buf[:kept+n]
		if bytes.Contains(have, what) {
			return true, nil
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return false, nil
		default:
			return false, fmt.Errorf("pades: %w", err)
		}
		kept = copy(buf, have[len(have)-len(what)+1:])
	}
}
