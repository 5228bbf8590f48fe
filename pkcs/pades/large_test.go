package pades_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/citel-pa/citel/pkcs/pades"
)

// parts is a file made of pieces, one of which may be as large as one likes: zeros.
type parts struct {
	head, tail []byte
	zeros      int64
}

func (p *parts) size() int64 { return int64(len(p.head)) + p.zeros + int64(len(p.tail)) }

func (p *parts) ReadAt(b []byte, at int64) (n int, err error) {
	for n < len(b) {
		switch pos := at + int64(n); {
		case pos < int64(len(p.head)):
			n += copy(b[n:], p.head[pos:])
		case pos < int64(len(p.head))+p.zeros:
			k := min(int64(len(b)-n), int64(len(p.head))+p.zeros-pos)
			clear(b[n : n+int(k)])
			n += int(k)
		case pos < p.size():
			n += copy(b[n:], p.tail[pos-int64(len(p.head))-p.zeros:])
		default:
			return n, io.EOF
		}
	}
	return n, nil
}

// large is a document with a picture of that size, with or without a cross-reference.
func large(zeros int64, sound bool) *parts {
	p := &parts{zeros: zeros}
	p.head = []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n" +
		"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>>>\nendobj\n")
	at := []int{bytes.Index(p.head, []byte("1 0 obj")), bytes.Index(p.head, []byte("2 0 obj")), bytes.Index(p.head, []byte("3 0 obj")), len(p.head)}
	p.head = fmt.Appendf(p.head, "4 0 obj\n<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length %d>>\nstream\n", zeros)
	p.tail = []byte("\nendstream\nendobj\n")
	start := p.size()
	if !sound {
		start = 7
	}
	p.tail = append(p.tail, "xref\n0 5\n0000000000 65535 f\r\n"...)
	for _, n := range at {
		p.tail = fmt.Appendf(p.tail, "%010d 00000 n\r\n", n)
	}
	p.tail = fmt.Appendf(p.tail, "trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start)
	return p
}

// behind keeps what Sign writes after the document.
type behind struct {
	skip int64
	tail []byte
}

func (w *behind) Write(p []byte) (int, error) {
	if k := min(w.skip, int64(len(p))); k < int64(len(p)) {
		w.tail = append(w.tail, p[k:]...)
	}
	w.skip -= min(w.skip, int64(len(p)))
	return len(p), nil
}

// Nothing that is done with 200 MB allocates more than a few, all in all.
func TestMemoryIsBounded(t *testing.T) {
	const most = 16 << 20
	o := signer(id(t))
	allocated := func(what string, do func()) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			t.Errorf("%s: %d MB", what, n>>20)
		}
	}
	doc := large(200<<20, true)
	out := &behind{skip: doc.size()}
	allocated("signing", func() {
		if err := pades.Sign(t.Context(), o, pades.PrepareOptions{}, doc, doc.size(), out); err != nil {
			t.Fatal(err)
		}
	})
	signed := &parts{head: doc.head, zeros: doc.zeros, tail: append(doc.tail, out.tail...)}
	allocated("reading", func() {
		facts, err := pades.Read(t.Context(), signed, signed.size())
		if err != nil || len(facts) != 1 || !facts[0].Attribute.DigestMatch || len(facts[0].Faults) > 0 {
			t.Fatalf("%v %+v", err, facts)
		}
	})
	// A cross-reference that has to be searched for, and no signature.
	broken := large(200<<20, false)
	allocated("searching", func() {
		if _, err := pades.Read(t.Context(), broken, broken.size()); err == nil {
			t.Fatal("a signature was found")
		}
	})
}
