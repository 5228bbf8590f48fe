package verify_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// A format that is not read is named and left open; what has no signature has none.
func TestOtherFormats(t *testing.T) {
	const dsig = `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>`
	for _, c := range []struct{ name, data, format string }{
		{"XAdES", "<?xml version=\"1.0\"?>\n<a>" + dsig + "</a>", "XAdES"},
		{"XAdES, signature far in", "\xef\xbb\xbf<a>" + strings.Repeat(" ", 10_000) + dsig + "</a>", "XAdES"},
		{"XML", "<a/>", ""},
		{"a schema that speaks of signatures", `<xs:schema xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><xs:element ref="ds:Signature"/></xs:schema>`, ""},
		{"XML evidence record", `<ers:EvidenceRecord xmlns:ers="urn:ietf:params:xml:ns:ers"/>`, "EvidenceRecord"},
		{"evidence record", "\x30\x82\x01\x00\x02\x01\x01\x30\x0d", "EvidenceRecord"},
		{"time-stamp response", "\x30\x82\x01\x00\x30\x03\x02\x01\x00\x30\x82\x00\xf0\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "RFC 3161"},
		{"signed ODF", "PK\x03\x04" + strings.Repeat("x", 70_000) + "META-INF/documentsignatures.xml", "ASiC"},
		{"signed archive, name over two pieces", "PK\x03\x04" + strings.Repeat("x", 64<<10-10) + "META-INF/signatures0.xml", "ASiC"},
		{"ODF", "PK\x03\x04" + strings.Repeat("x", 70_000) + "META-INF/manifest.xml", ""},
		{"signed OOXML", "PK\x03\x04" + strings.Repeat("x", 70_000) + "_xmlsignatures/sig1.xml", "OOXML"},
		{"JAdES, signature far in", `{"payload":"` + strings.Repeat("A", 10_000) + `","signatures":[{"protected":"e30","signature":""}]}`, "JAdES"},
		{"compact JAdES", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\n", "JAdES"},
		{"base64 of JSON", "eyJhIjoxfQ==", ""},
		{"ASiC-E", "PK\x03\x04" + strings.Repeat("\x00", 26) + "mimetypeapplication/vnd.etsi.asic-e+zip", "ASiC"},
		{"ZIP", "PK\x03\x04" + strings.Repeat("\x00", 26) + "a.txt", ""},
		{"JAdES", `{"payload":"","protected":"e30","signature":""}`, "JAdES"},
		{"JSON", `{"a":1}`, ""},
		{".tsd", "\x30\x80\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x1f", "TimeStampedData"},
		{".m7m", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", "M7M"},
		{"a PDF's remains, not signed", "%PDF-1.7\n" + strings.Repeat(" ", 256<<10), ""},
		{"PDF", "%PDF-1.7\n", ""},
		{"text", "ciao", ""},
		{"nothing", "", ""},
	} {
		for kind, r := range map[string]io.Reader{"file": bytes.NewReader([]byte(c.data)), "stream": io.MultiReader(strings.NewReader(c.data))} {
			results, err := verify.Reader(t.Context(), r, verify.Options{})
			switch {
			case c.format == "" && !errors.Is(err, verify.ErrNoSignature):
				t.Errorf("%s (%s): %d results, %v", c.name, kind, len(results), err)
			case c.format != "" && (err != nil || len(results) != 1 || results[0].Facts.Format != c.format || results[0].Indication != validation.Indeterminate):
				t.Errorf("%s (%s): %+v, %v", c.name, kind, results, err)
			}
		}
	}
}

// What is in an envelope does not name the envelope.
func TestEnvelopeFirst(t *testing.T) {
	const signedData = "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	for _, content := range []string{"%PDF-1.7", "PK\x03\x04META-INF/", "Content-Type: multipart/mixed"} {
		_, err := verify.Reader(t.Context(), strings.NewReader(signedData+content), verify.Options{})
		if errors.Is(err, verify.ErrNoSignature) || err == nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// What is left of a signed PDF is not taken for a file without a signature.
func TestRemainsOfASignedPDF(t *testing.T) {
	data := "%PDF-1.7\n" + strings.Repeat(" ", 256<<10-15) + "/ByteRange [0 1 2 3]"
	for kind, r := range map[string]io.Reader{"file": strings.NewReader(data), "stream": io.MultiReader(strings.NewReader(data))} {
		results, err := verify.Reader(t.Context(), r, verify.Options{})
		if err != nil || len(results) != 1 || results[0].Facts.Format != "PAdES" || results[0].Indication != validation.TotalFailed || results[0].SubIndication != validation.FormatFailure {
			t.Errorf("%s: %+v, %v", kind, results, err)
		}
	}
}
