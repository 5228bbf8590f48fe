package pades

import (
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/pdf"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Evidence is the validation data of B-LT as DER: certificates, CertificateLists and
// OCSPResponses.
type Evidence struct{ Certificates, CRLs, OCSPs [][]byte }

// maxEvidence bounds the bytes of an evidence.
const maxEvidence = MaxIncrement / 2

// Extend makes the increment that puts evidence into the document security store
// (EN 319 142-1, 5.4.2). What is in the store stays; a certification permits it.
func Extend(r io.ReaderAt, size int64, e Evidence) ([]byte, error) {
	f, err := pdf.Open(r, size)
	if err != nil {
		return nil, err
	}
	u, err := f.Increment()
	if err != nil {
		return nil, err
	}
	root, ok := f.Trailer["Root"].(pdf.Ref)
	if !ok {
		return nil, fmt.Errorf("%w: Root is no reference", pdf.ErrMalformed)
	}
	catalog := f.Catalog().Clone()
	dss := f.Dict(catalog["DSS"]).Clone()
	total := 0
	for _, set := range []struct {
		key  pdf.Name
		ders [][]byte
	}{{"Certs", e.Certificates}, {"CRLs", e.CRLs}, {"OCSPs", e.OCSPs}} {
		all := slices.Clone(f.Array(dss[set.key]))
		known := stored(f, all)
		for _, der := range set.ders {
			if id := validation.ObjectID(der); !known[id] {
				known[id] = true
				total += len(der)
				ref := u.New()
				u.SetStream(ref, pdf.Dict{}, der)
				all = append(all, ref)
			}
		}
		if len(all) > 0 {
			dss[set.key] = all
		}
	}
	if total > maxEvidence {
		return nil, fmt.Errorf("%w: %d bytes of evidence", pdf.ErrTooLarge, total)
	}
	if ref, ok := catalog["DSS"].(pdf.Ref); ok && f.Dict(ref) != nil {
		u.Set(ref, dss)
	} else {
		dss["Type"] = pdf.Name("DSS")
		ref := u.New()
		u.Set(ref, dss)
		catalog["DSS"] = ref
		u.Set(root, catalog)
	}
	data, _, err := u.Finish()
	return data, err
}

// stored are the ids of what a store's array has.
func stored(f *pdf.File, all pdf.Array) map[string]bool {
	known := map[string]bool{}
	for _, o := range all[:min(len(all), maxStored)] {
		if s, ok := f.Resolve(o).(*pdf.Stream); ok {
			if der, err := f.Decode(s); err == nil {
				known[validation.ObjectID(der)] = true
			}
		}
	}
	return known
}
