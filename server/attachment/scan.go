package attachment

import (
	"context"
	"errors"
	"io"
)

// Verdict of a scanner.
type Verdict struct {
	Clean bool
	// Threat is the scanner's own name for what it found.
	Threat string
}

// ErrScanner means that the scanner gave no verdict. The file stays unopened and is
// asked about again: no answer is never a good one.
var ErrScanner = errors.New("attachment: the scanner gave no verdict")

// Scanner looks for malware.
type Scanner interface {
	// Scan reads the file once. The error wraps ErrScanner or is the context's.
	Scan(ctx context.Context, r io.Reader, size int64) (Verdict, error)
}
