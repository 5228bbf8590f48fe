package cades

import (
	"crypto"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// index writes an ats-hash-index(-v3) value by EN 319 122-1, 5.5.2.
func index(certs ...[]byte) []byte {
	var sums [][]byte
	for _, c := range certs {
		sums = append(sums, cms.OctetString(sum(crypto.SHA256, c)))
	}
	return cms.Sequence(cms.DigestIdentifier(crypto.SHA256), cms.Sequence(sums...), cms.Sequence(), cms.Sequence())
}

// A digest of nothing stays missing although another element, which is listed once,
// stands twice in the file: each digest of the index is accounted for by itself.
func TestIndexMissingIsNotHiddenByDuplicates(t *testing.T) {
	there, gone := cms.OctetString([]byte("there")), cms.OctetString([]byte("gone"))
	for name, tc := range map[string]struct {
		listed, file [][]byte
		missing      int
	}{
		"all there":         {[][]byte{there}, [][]byte{there}, 0},
		"one gone":          {[][]byte{there, gone}, [][]byte{there}, 1},
		"gone, other twice": {[][]byte{there, gone}, [][]byte{there, there}, 1},
		"listed twice":      {[][]byte{there, there}, [][]byte{there}, 0},
		"later addition":    {[][]byte{there}, [][]byte{there, gone}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := readHashIndex([]cms.Attribute{{OID: cms.OIDHashIndexV3, Values: [][]byte{index(tc.listed...)}}})
			if err != nil {
				t.Fatal(err)
			}
			var ts validation.TimestampFacts
			got := x.cover(&cms.Message{RawCertificates: tc.file}, &cms.SignerInfo{}, &validation.Facts{}, &ts)
			if got != tc.missing {
				t.Errorf("%d missing, not %d", got, tc.missing)
			}
		})
	}
}

// Two indexes in one token: the answer is the same each time, the newest version's.
func TestIndexOfSeveralVersionsIsChosenAlike(t *testing.T) {
	one := cms.OctetString([]byte("one"))
	attrs := []cms.Attribute{
		{OID: cms.OIDHashIndex, Values: [][]byte{index()}},
		{OID: cms.OIDHashIndexV3, Values: [][]byte{index(one)}},
	}
	for range 200 {
		x, err := readHashIndex(attrs)
		if err != nil || x.version != 3 {
			t.Fatalf("version %d, %v", x.version, err)
		}
	}
}
