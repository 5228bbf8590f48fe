package signing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/citel-pa/citel/agent/consent"
)

// ErrDocumentChanged means that the bytes at signing are not those that the person was
// shown.
var ErrDocumentChanged = errors.New("signing: the document changed after it was shown")

// noEnd: no moment but the person's own time ends the question.
var noEnd time.Time

// shown reads a document and gives its end only when the bytes were those of
// the consent; before that no signature is made.
type shown struct {
	r    io.Reader
	hash hash.Hash
	doc  consent.Document
	read int64
}

func asShown(r io.Reader, doc consent.Document) io.Reader {
	return &shown{r: r, hash: sha256.New(), doc: doc}
}

func (s *shown) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.read += int64(n)
	switch {
	case s.read > s.doc.Size:
		return 0, fmt.Errorf("%w: it is longer", ErrDocumentChanged)
	case s.read < s.doc.Size && errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: it is shorter", ErrDocumentChanged)
	case s.read == s.doc.Size && [32]byte(s.hash.Sum(nil)) != s.doc.SHA256:
		// Judged with the last byte, not at io.EOF: a reader that knows the size
		// may never ask for more.
		return 0, ErrDocumentChanged
	}
	return n, err
}
