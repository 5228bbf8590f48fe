package cms

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

// base64Reader decodes the base64 lines of a text and ends at the END line. It is
// encoding/base64 in large pieces: its own stream decoder costs three times the hash.
type base64Reader struct {
	r    *bufio.Reader
	text []byte // characters that wait for their quad, white space taken out
	data []byte // decoded and not given out yet
	room []byte
	read int64
	// padded: the last quad was filled up, so nothing may follow.
	padded bool
	err    error
}

func newBase64Reader(r *bufio.Reader) *base64Reader {
	return &base64Reader{r: r, text: make([]byte, 0, bufferSize+4), room: make([]byte, bufferSize)}
}

func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.data) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.fill()
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// fill takes what is buffered, and decodes the whole quads of it.
func (b *base64Reader) fill() {
	_, err := b.r.Peek(1)
	piece, _ := b.r.Peek(min(b.r.Buffered(), cap(b.text)-len(b.text)))
	if len(piece) == 0 {
		b.finish(err)
		return
	}
	end := bytes.IndexByte(piece, '-')
	if i := bytes.IndexByte(piece, 0); i >= 0 && (end < 0 || i < end) {
		end = i
	}
	if end >= 0 {
		piece = piece[:end]
	}
	b.text = appendCharacters(b.text, piece)
	if _, err := b.r.Discard(len(piece)); err != nil {
		b.err = err
		return
	}
	whole := len(b.text) &^ 3
	if b.padded && len(b.text) > 0 {
		b.err = base64.CorruptInputError(b.read)
		return
	}
	n, err := base64.StdEncoding.Decode(b.room, b.text[:whole])
	b.data, b.read = b.room[:n], b.read+int64(whole)
	if whole > 0 && b.text[whole-1] == '=' {
		b.padded = true
	}
	b.text = append(b.text[:0], b.text[whole:]...)
	switch {
	case err != nil:
		b.err = err
	case end >= 0:
		b.finish(io.EOF)
	}
}

// finish: the text is at its end; characters that make no quad are missing some.
func (b *base64Reader) finish(err error) {
	if b.err = err; errors.Is(err, io.EOF) && len(b.text) > 0 {
		b.err = io.ErrUnexpectedEOF
	}
}

// appendCharacters leaves line ends out, and other white space and byte order marks.
// What has no place stays, so that the decoder refuses it.
func appendCharacters(dst, text []byte) []byte {
	plain := true
	for _, c := range []byte{' ', '\t', 0xef, 0xbb, 0xbf} {
		plain = plain && bytes.IndexByte(text, c) < 0
	}
	for plain && len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.IndexByte(line, '\r') >= 0 {
			break
		}
		dst, text = append(dst, line...), rest
	}
	if plain && len(text) == 0 {
		return dst
	}
	for _, c := range text {
		switch c {
		case '\r', '\n', ' ', '\t', 0xef, 0xbb, 0xbf:
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
