package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/pades"
)

const (
	documentArg = "document-helper"
	hostileArg  = "hostile-document-helper"
)

// page is a sound PDF of one page, with filler as a comment.
func page(filler int) []byte {
	out := []byte("%PDF-1.7\n")
	var at []int
	for i, body := range []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"} {
		at = append(at, len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	out = fmt.Appendf(out, "%%%s\n", strings.Repeat("x", filler))
	start := len(out)
	out = append(out, "xref\n0 4\n0000000000 65535 f\r\n"...)
	for _, n := range at {
		out = fmt.Appendf(out, "%010d 00000 n\r\n", n)
	}
	return fmt.Appendf(out, "trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start)
}

func preparer(t testing.TB, args ...string) *Preparer {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Preparer{Exe: append([]string{exe}, args...)}
}

// The helper makes what pades.Prepare makes here, over pipes alone.
func TestDocumentHelper(t *testing.T) {
	o := pades.PrepareOptions{Time: time.Unix(1_700_000_000, 0).UTC(), Reason: "È così", Room: pades.DefaultRoom}
	for _, filler := range []int{0, 5 << 20} {
		doc := page(filler)
		got, err := preparer(t, documentArg).Prepare(t.Context(), bytes.NewReader(doc), int64(len(doc)), o)
		if err != nil {
			t.Fatal(err)
		}
		want, err := pades.Prepare(bytes.NewReader(doc), int64(len(doc)), o)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Increment, want.Increment) || got.From != want.From || got.To != want.To {
			t.Error("another increment")
		}
	}
}

func TestDocumentHelperStoresEvidence(t *testing.T) {
	doc := page(0)
	e := pades.Evidence{Certificates: [][]byte{{0x30, 1, 2}}, CRLs: [][]byte{bytes.Repeat([]byte{7}, 3<<20)}, OCSPs: [][]byte{{0x30, 0}}}
	got, err := preparer(t, documentArg).Extend(t.Context(), bytes.NewReader(doc), int64(len(doc)), e)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pades.Extend(bytes.NewReader(doc), int64(len(doc)), e)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("another increment, %v", err)
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	sound := page(0)
	for want, doc := range map[signing.DocumentReason][]byte{
		signing.DocumentNotPDF:    []byte("ciao"),
		signing.DocumentDamaged:   bytes.Replace(sound, []byte("startxref"), []byte("startxxxx"), 1),
		signing.DocumentEncrypted: bytes.Replace(sound, []byte("/Size 4"), []byte("/Size 4/Encrypt<</Filter/Standard>>"), 1),
	} {
		_, err := preparer(t, documentArg).Prepare(t.Context(), bytes.NewReader(doc), int64(len(doc)), pades.PrepareOptions{})
		var unfit *signing.DocumentError
		if !errors.As(err, &unfit) || unfit.Reason != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A helper that a document took over cannot make the agent read elsewhere, wait for
// ever, or take what is no increment.
func hostile(how string) int {
	if _, err := readFrame(os.Stdin, maxFrame); err != nil {
		return 1
	}
	send := func(a documentAnswer) { _ = writeJSON(os.Stdout, a) }
	switch how {
	case "outside":
		send(documentAnswer{Op: opRead, Offset: 1, Length: maxFrame})
	case "negative":
		send(documentAnswer{Op: opRead, Offset: -1, Length: 1})
	case "nothing":
		send(documentAnswer{Op: opRead})
	case "unknown operation":
		send(documentAnswer{Op: "exec"})
	case "unknown failure":
		send(documentAnswer{Op: opDone, Failure: "boh"})
	case "huge":
		send(documentAnswer{Op: opDone, Bytes: 1 << 40, To: 9})
	case "no frame":
		_, _ = os.Stdout.WriteString("\xff\xff\xff\xff")
	case "short":
		send(documentAnswer{Op: opDone, Bytes: 100, To: 9})
	case "hangs":
		time.Sleep(time.Hour)
	case "crashes":
		panic("crash")
	}
	return 0
}

func TestHostileDocumentHelper(t *testing.T) {
	doc := page(0)
	for _, how := range []string{"outside", "negative", "nothing", "unknown operation", "unknown failure", "huge", "no frame", "short", "hangs", "crashes"} {
		t.Run(how, func(t *testing.T) {
			p := preparer(t, hostileArg, how)
			p.Timeout = 2 * time.Second
			got, err := p.Prepare(t.Context(), bytes.NewReader(doc), int64(len(doc)), pades.PrepareOptions{})
			var unfit *signing.DocumentError
			if got != nil || !errors.As(err, &unfit) || unfit.Reason != signing.DocumentDamaged {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}

func FuzzDocumentAnswers(f *testing.F) {
	seed := func(answers ...documentAnswer) {
		var b bytes.Buffer
		for _, a := range answers {
			if err := writeJSON(&b, a); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(append(b.Bytes(), 0, 0, 0, 2, 'a', 'b'))
	}
	seed(documentAnswer{Op: opRead, Offset: 3, Length: 5}, documentAnswer{Op: opDone, Bytes: 2, From: 0, To: 2})
	seed(documentAnswer{Op: opDone, Failure: signing.DocumentEncrypted, Detail: "x"})
	doc := page(0)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := serve(io.Discard, bytes.NewReader(data), bytes.NewReader(doc), int64(len(doc)))
		if err == nil && (len(p.Increment) == 0 || len(p.Increment) > pades.MaxIncrement) {
			t.Errorf("taken: %d bytes", len(p.Increment))
		}
	})
}

func FuzzDocumentMain(f *testing.F) {
	var b bytes.Buffer
	if err := writeJSON(&b, documentOrder{Size: 9, Room: 2048}); err != nil {
		f.Fatal(err)
	}
	f.Add(append(b.Bytes(), 0, 0, 0, 9, '%', 'P', 'D', 'F', '-', '1', '.', '7', '\n'))
	f.Fuzz(func(_ *testing.T, data []byte) { DocumentMain(bytes.NewReader(data), io.Discard) })
}
