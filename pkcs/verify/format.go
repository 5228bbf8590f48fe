package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// headSize is how much of a file tells its format.
const headSize = 4096

// sniff names a file's format by its first bytes: "PDF", "CMS" for whatever may be
// one (DER, BER, base64, PEM), or the name of a format that is not read here. The
// reader that it gives has lost nothing; one that can be read at any place stays so.
func sniff(r io.Reader) (string, io.Reader, error) {
	var head []byte
	if s, ok := r.(io.ReadSeeker); ok {
		buf := make([]byte, headSize)
		start, err := s.Seek(0, io.SeekCurrent)
		if err == nil {
			n, readErr := io.ReadFull(s, buf)
			if _, err := s.Seek(start, io.SeekStart); err != nil {
				return "", nil, fmt.Errorf("verify: %w", err)
			}
			if readErr != nil && n == 0 && readErr != io.EOF {
				return "", nil, fmt.Errorf("verify: %w", readErr)
			}
			head = buf[:n]
			return kindOf(head), r, nil
		}
	}
	b := bufio.NewReaderSize(r, headSize)
	head, err := b.Peek(headSize)
	if err != nil && len(head) == 0 && err != io.EOF {
		return "", nil, fmt.Errorf("verify: %w", err)
	}
	return kindOf(head), b, nil
}

func kindOf(head []byte) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	has := func(s string) bool { return bytes.Contains(head, []byte(s)) }
	switch {
	// First what begins as SignedData does: what is in the envelope must not name it.
	case len(head) > 2 && head[0] == 0x30 && bytes.Contains(head[:min(len(head), 32)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")):
		return "CMS"
	// Readers look for the header in the first kilobyte (ISO 32000-1, annex H, 13).
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")):
		return "PDF"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		if has("application/vnd.etsi.asic-e+zip") || has("application/vnd.etsi.asic-s+zip") || has("META-INF/") {
			return "ASiC" // ETSI EN 319 162-1, A.1
		}
	case bytes.HasPrefix(text, []byte("<")):
		return "XML"
	case bytes.HasPrefix(text, []byte("{")) && has(`"protected"`):
		return "JAdES" // ETSI TS 119 182-1
	case has("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x1f"):
		return "TimeStampedData" // .tsd, RFC 5544
	case bytes.Contains(bytes.ToLower(head), []byte("content-type: multipart/")):
		return "M7M" // a mail message that holds a .p7m and a .tsr
	}
	return "CMS"
}

// inMemory is up to what size a file that can be read once only is kept in memory.
const inMemory = 8 << 20

// anywhere makes a reader that can be read at any place: a file is one already, a stream
// is put aside.
func anywhere(r io.Reader, dir string) (at io.ReaderAt, size int64, done func(), err error) {
	if f, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		from, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, 0, nil, fmt.Errorf("verify: %w", err)
		}
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, 0, nil, fmt.Errorf("verify: %w", err)
		}
		return io.NewSectionReader(f, from, end-from), end - from, func() {}, nil
	}
	var head bytes.Buffer
	n, err := io.CopyN(&head, r, inMemory)
	if errors.Is(err, io.EOF) {
		return bytes.NewReader(head.Bytes()), n, func() {}, nil
	}
	if err != nil {
		return nil, 0, nil, fmt.Errorf("verify: %w", err)
	}
	aside, err := os.CreateTemp(dir, "citel-verify-*")
	if err != nil {
		return nil, 0, nil, fmt.Errorf("verify: %w", err)
	}
	done = func() { _, _ = aside.Close(), os.Remove(aside.Name()) }
	size, err = io.Copy(aside, io.MultiReader(&head, r))
	if err != nil {
		done()
		return nil, 0, nil, fmt.Errorf("verify: %w", err)
	}
	return aside, size, done, nil
}

// maxXML bounds how far an XML file is searched for a signature.
const maxXML = 32 << 20

// signedXML tells whether an XML file has a signature in it somewhere.
func signedXML(r io.Reader) (bool, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxXML))
	if err != nil {
		return false, fmt.Errorf("verify: %w", err)
	}
	return bytes.Contains(data, []byte("http://www.w3.org/2000/09/xmldsig#")), nil
}
