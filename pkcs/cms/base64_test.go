package cms

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The reader gives what encoding/base64 gives for the text without its white space.
func FuzzBase64(f *testing.F) {
	for _, s := range []string{"", "MAA=", "MA\r\nA=\n", "MAA=\n-----END", "MAA", "MAA=MAA=", "M AA=\t", "MA*A", "\xef\xbb\xbfMAA=", "MAA=\x00x", "=", "MA==", "MA==\nMAA="} {
		f.Add([]byte(s))
	}
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("citel"), 100_000))
	f.Add([]byte(long[:76] + "\r\n" + long[76:]))
	f.Fuzz(func(t *testing.T, text []byte) {
		var bare []byte
		for _, c := range beforeEnd(text) {
			if !strings.ContainsRune("\r\n \t", rune(c)) && c != 0xef && c != 0xbb && c != 0xbf {
				bare = append(bare, c)
			}
		}
		want, wantErr := base64.StdEncoding.DecodeString(string(bare))
		for _, r := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
			got, err := io.ReadAll(newBase64Reader(bufio.NewReaderSize(r, bufferSize)))
			if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%q: %x %v, want %x %v", text, got, err, want, wantErr)
			}
		}
	})
}

// beforeEnd is the text before its END line.
func beforeEnd(text []byte) []byte {
	for i, c := range text {
		if c == '-' || c == 0 {
			return text[:i]
		}
	}
	return text
}
