package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
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
	case startsWith(head, "\x30?\x02\x01\x00\x30"), startsWith(head, "\x30?\x02\x01\x01\x30"):
		return "RFC 3161" // a TimeStampResp (2.4.2) that grants
	case startsWith(head, "\x02\x01\x01\x30"):
		return "EvidenceRecord" // RFC 4998, 3.1
	// First what begins as SignedData does: what is in the envelope must not name it.
	case len(head) > 2 && head[0] == 0x30 && bytes.Contains(head[:min(len(head), 32)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")):
		return "CMS"
	// Readers look for the header in the first kilobyte (ISO 32000-1, annex H, 13).
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")):
		return "PDF"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		if has("application/vnd.etsi.asic-e+zip") || has("application/vnd.etsi.asic-s+zip") {
			return "ASiC" // ETSI EN 319 162-1, A.1
		}
		return "ZIP"
	case bytes.HasPrefix(text, []byte("<")):
		if has("urn:ietf:params:xml:ns:ers") {
			return "EvidenceRecord" // RFC 6283
		}
		return "XML"
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("eyJ")):
		return "JSON"
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

// startsWith compares the beginning of what is in a SEQUENCE; "?" is any byte.
func startsWith(head []byte, pattern string) bool {
	if len(head) < 2 || head[0] != 0x30 {
		return false
	}
	at := 2
	if head[1] > 0x80 {
		at += int(head[1] & 0x7F)
	}
	if len(head) < at+len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != head[at+i] {
			return false
		}
	}
	return true
}

// maxText bounds how far an XML or JSON file is searched for a signature.
const maxText = 32 << 20

// signatureElement begins an element called Signature, in whatever namespace.
var signatureElement = regexp.MustCompile(`<([\w.-]+:)?Signature[\s/>]`)

// signedText names the format of an XML or JSON file that has a signature in it
// somewhere; empty when there is none.
func signedText(kind string, r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxText))
	if err != nil {
		return "", fmt.Errorf("verify: %w", err)
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case kind == "XML":
		if bytes.Contains(data, []byte("http://www.w3.org/2000/09/xmldsig#")) && signatureElement.Match(data) {
			return "XAdES", nil
		}
	case bytes.HasPrefix(text, []byte("{")):
		if bytes.Contains(data, []byte(`"protected"`)) && bytes.Contains(data, []byte(`"signature"`)) {
			return "JAdES", nil // ETSI TS 119 182-1; RFC 7515, 7.2
		}
	case bytes.Count(text, []byte(".")) == 2:
		return "JAdES", nil // RFC 7515, 7.1: three parts in base64url
	}
	return "", nil
}

// signedZIP names the format of an archive that has a signature among its entries, by
// their names, which stand in it as they are; empty when there is none.
func signedZIP(r io.Reader) (string, error) {
	const longest = 128 // of what is searched for
	buf := make([]byte, 0, 64<<10)
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf, []byte("_xmlsignatures/")) {
			return "OOXML", nil // ECMA-376-2, 12
		}
		for rest := buf; ; {
			i := bytes.Index(rest, []byte("META-INF/"))
			if i < 0 {
				break
			}
			rest = rest[i+len("META-INF/"):]
			// ETSI EN 319 162-1, A.4 and A.5; ODF 1.2, part 3, 3.5.
			name, _, _ := bytes.Cut(bytes.ToLower(rest[:min(len(rest), longest/2)]), []byte("."))
			for _, w := range []string{"signature", "timestamp", "evidencerecord"} {
				if bytes.Contains(name, []byte(w)) && !bytes.HasPrefix(name, []byte("asicmanifest")) {
					return "ASiC", nil
				}
			}
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return "", nil
		case err != nil:
			return "", fmt.Errorf("verify: %w", err)
		}
		kept := copy(buf[:cap(buf)], buf[len(buf)-longest:])
		buf = buf[:kept]
	}
}
