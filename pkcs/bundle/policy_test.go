package bundle_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/testdata/signed"
)

// A bundle brings its own policy. One that looks away from a broken signature is no policy.
func TestBundleWhosePolicyLooksAway(t *testing.T) {
	good := make1(t, signed.Shared(t), "changed", false).zip
	z, err := zip.NewReader(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == "policy.json" {
			changed := bytes.Replace(data, []byte(`"checks": {}`), []byte(`"checks": {"message-digest": "IGNORE"}`), 1)
			if bytes.Equal(changed, data) {
				t.Fatalf("not the policy that was expected: %.200s", data)
			}
			data = changed
		}
		to, err := w.Create(f.Name)
		if err == nil {
			_, err = to.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := bundle.Read(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err == nil {
		j, err := a.Judge(t.Context(), bundle.JudgeOptions{})
		t.Fatalf("%+v, %v", j, err)
	}
	if !errors.Is(err, bundle.ErrMalformed) {
		t.Error(err)
	}
}
