package pades_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// Any bytes are read and judged, or refused; what may be signed is prepared.
func FuzzRead(f *testing.F) {
	p, err := pki.New()
	if err != nil {
		f.Fatal(err)
	}
	id, err := p.Issue(pki.CNS, pki.P256, pki.Citizens[0])
	if err != nil {
		f.Fatal(err)
	}
	for _, doc := range [][]byte{plain(), form()} {
		once := sign(f, doc, signer(id), pades.PrepareOptions{Room: 4096})
		f.Add(doc)
		f.Add(once)
		f.Add(sign(f, once, signer(id), pades.PrepareOptions{Room: 4096}))
		f.Add(file(once, 1, object{4, stream("", "BT ET")}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := pades.Read(t.Context(), bytes.NewReader(data), int64(len(data)))
		if err == nil {
			for _, x := range facts {
				if r := validation.Judge(x, validation.Default()); r.Indication == validation.TotalPassed {
					t.Error("TOTAL-PASSED without an anchor")
				}
			}
		}
		_, _ = pades.Prepare(bytes.NewReader(data), int64(len(data)), pades.PrepareOptions{Time: time.Unix(0, 0)})
	})
}
