package bundle_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/testdata/signed"
)

// Archives that are made to harm are refused, before they can.
func TestHostileArchives(t *testing.T) {
	good := make1(t, signed.Shared(t), "valid", false).zip
	add := func(headers ...zip.FileHeader) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		z, err := zip.NewReader(bytes.NewReader(good), int64(len(good)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			if err := w.Copy(f); err != nil {
				t.Fatal(err)
			}
		}
		for i := range headers {
			f, err := w.CreateHeader(&headers[i])
			if err == nil && headers[i].Comment == "bomb" {
				_, err = io.CopyN(f, zeros{}, 300<<20)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	link := zip.FileHeader{Name: "crls/99.crl"}
	link.SetMode(os.ModeSymlink | 0o777)
	var many []zip.FileHeader
	for i := range 5000 {
		many = append(many, zip.FileHeader{Name: fmt.Sprintf("crls/x%d.crl", i)})
	}
	for what, data := range map[string][]byte{
		"traversal":          add(zip.FileHeader{Name: "../../etc/cron.d/x"}),
		"absolute":           add(zip.FileHeader{Name: "/etc/passwd"}),
		"backslashes":        add(zip.FileHeader{Name: `..\..\x`}),
		"twice":              add(zip.FileHeader{Name: "facts.json"}),
		"twice, other case":  add(zip.FileHeader{Name: "FACTS.json"}),
		"a link":             add(link),
		"a folder":           add(zip.FileHeader{Name: "crls/"}),
		"a control":          add(zip.FileHeader{Name: "crls/\u202efdp.crl"}),
		"a long name":        add(zip.FileHeader{Name: strings.Repeat("a", 5000)}),
		"a bomb":             add(zip.FileHeader{Name: "crls/99.crl", Method: zip.Deflate, Comment: "bomb"}),
		"many entries":       add(many...),
		"many documents":     add(zip.FileHeader{Name: "signed/a.bin"}, zip.FileHeader{Name: "signed/b.bin"}),
		"cut":                good[:len(good)/2],
		"empty":              {},
		"an archive of none": []byte("PK\x05\x06" + strings.Repeat("\x00", 18)),
	} {
		if _, err := bundle.Read(bytes.NewReader(data), int64(len(data))); !errors.Is(err, bundle.ErrMalformed) && !errors.Is(err, bundle.ErrNotBundle) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A directory of millions of entries costs what its bound is, not what it says.
	var huge bytes.Buffer
	w := zip.NewWriter(&huge)
	for i := range 120_000 {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("crls/%050d.crl", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Read(bytes.NewReader(huge.Bytes()), int64(huge.Len())); !errors.Is(err, bundle.ErrMalformed) {
		t.Errorf("a huge directory: %v", err)
	}
}

type zeros struct{}

// Read gives zeros without end.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The bundle's reader and what judges from it take any archive.
func FuzzBundle(f *testing.F) {
	d := signed.Shared(f)
	for _, name := range []string{"valid", "stamped", "detached"} {
		data := make1(f, d, name, false).zip
		f.Add(data)
		// Without compression a change reaches what is inside.
		f.Add(stored(f, data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle.Is(bytes.NewReader(data), int64(len(data)))
		a, err := bundle.Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		j, err := a.Judge(t.Context(), bundle.JudgeOptions{})
		if err != nil {
			return
		}
		if _, err := bundle.ReportJSON(j.Results, j.Lang); err != nil {
			t.Fatal(err)
		}
	})
}

func stored(tb testing.TB, data []byte) []byte {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		to, err := w.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store})
		if err == nil {
			_, err = io.Copy(to, r)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}
