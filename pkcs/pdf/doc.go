// Package pdf reads PDF files (ISO 32000-2) as far as signatures need it: the
// cross-reference of each revision, objects, the places of values in the file; and
// appends increments (7.5.6). It draws nothing and trusts nothing: every length, depth
// and count is bounded, and memory does not grow with the file's streams.
package pdf

import "errors"

// Errors of the reader.
var (
	ErrNotPDF    = errors.New("pdf: not a PDF")
	ErrMalformed = errors.New("pdf: malformed")
	ErrTooLarge  = errors.New("pdf: larger than the limit")
	// ErrEncrypted: what was asked for is encrypted (7.6).
	ErrEncrypted = errors.New("pdf: encrypted")
)

// Limits on what one file may make the reader hold.
const (
	maxDepth    = 64
	maxString   = 32 << 20 // the strings of one object
	maxItems    = 1 << 20  // one array's or dictionary's items
	maxNumber   = 8388607  // an object's number (ISO 32000-1, annex C)
	maxObjects  = 2 << 20  // cross-reference entries
	maxSections = 1024     // cross-reference sections
	maxDecoded  = 64 << 20 // a stream that is decoded in memory
	// maxDecodedInAll bounds the work that a file makes, not the memory.
	maxDecodedInAll = 2 << 30
)

// Object is a direct object (7.3): nil, bool, int64, float64, Name, String, Array,
// Dict, *Stream or Ref.
type Object any

// Name is a name object without its solidus, escapes resolved.
type Name string

// String is a literal or hexadecimal string's bytes.
type String []byte

// Array is an array object.
type Array []Object

// Dict is a dictionary object.
type Dict map[Name]Object

// Ref names an indirect object.
type Ref struct{ Num, Gen int }

// Stream is a stream object; its bytes stay in the file.
type Stream struct {
	Dict Dict
	// Offset and Length say where its encoded bytes are.
	Offset, Length int64

	num, gen int
}

// Span is a range of bytes in the file: [From, To).
type Span struct{ From, To int64 }
