package cms

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// bufferSize of the input; also the size of the pieces that are hashed.
const bufferSize = 128 << 10

// buffers are kept: for a small file, making one costs more than reading it.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// open looks at the first bytes and takes base64 or PEM off: Italian rules let a
// .p7m be wrapped, with or without the header line.
func open(r io.Reader) (src *bufio.Reader, wrapped string, err error) {
	br := pooled(r)
	head, err := br.Peek(64)
	if len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return nil, "", ErrNotCMS
		}
		return nil, "", err
	}
	if head[0] == tagSequence {
		return br, "", nil
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) == 0 {
		return nil, "", ErrNotCMS
	}
	wrapped = "base64"
	if bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		wrapped = "pem"
		if err := skipLine(br); err != nil {
			return nil, "", err
		}
	} else if !likeBase64(text) {
		return nil, "", ErrNotCMS
	}
	br = bufio.NewReaderSize(newBase64Reader(br), bufferSize)
	first, err := br.Peek(1)
	if err != nil || first[0] != tagSequence {
		return nil, "", ErrNotCMS
	}
	return br, wrapped, nil
}

func pooled(r io.Reader) *bufio.Reader {
	br, ok := buffers.Get().(*bufio.Reader)
	if !ok {
		return bufio.NewReaderSize(r, bufferSize)
	}
	br.Reset(r)
	return br
}

// recycle gives a buffer back. What was read stays in it until it is used again:
// documents, never a secret.
func recycle(br *bufio.Reader) {
	br.Reset(nil)
	buffers.Put(br)
}

// skipLine passes over the BEGIN line, however much stands before it.
func skipLine(br *bufio.Reader) error {
	for range 4 {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return ErrNotCMS
		}
		if bytes.Contains(line, []byte("-----BEGIN ")) {
			return nil
		}
	}
	return ErrNotCMS
}

func likeBase64(b []byte) bool {
	for _, c := range b {
		if !isBase64(c) && c != '\r' && c != '\n' && c != ' ' && c != '\t' {
			return false
		}
	}
	return b[0] == 'M' // 0x30: a SEQUENCE
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '='
}
