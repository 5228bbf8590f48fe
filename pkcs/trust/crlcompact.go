package trust

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/trust/ocsp"
)

// compactFrom is the size of a list, in bytes, from which on it is not kept as it came but
// as a table: a long list then costs less memory than its file has bytes.
var compactFrom = 16 << 20

// table holds the entries of a list, sorted: in each row a serial number (its length, and
// its octets at the right), the time of revocation in seconds and the reason.
type table struct {
	rows  []byte
	width int // octets of a serial number
}

// rest of a row: the length before the serial number; time and reason after it.
const rowRest = 1 + 8 + 1

// noTime stands for a date that cannot be read.
const noTime = math.MinInt64

// compact makes a table of entries; nil where that would not be smaller, and for lists
// with entries of several issuers.
func (e *entries) compact() *table {
	width := 0
	for _, at := range e.at {
		width = max(width, len(e.serial(at)))
	}
	size := width + rowRest
	if e.others != nil || width > math.MaxUint8 || len(e.at)*size > len(e.der) {
		return nil
	}
	unsorted := make([]byte, len(e.at)*size)
	order := make([]uint32, len(e.at))
	rowOf := func(i uint32) []byte { return unsorted[int(i)*size : (int(i)+1)*size] }
	for i, at := range e.at {
		order[i] = uint32(i) //nolint:gosec // fewer than the list's bytes
		row := rowOf(order[i])
		serial := e.serial(at)
		row[0] = byte(len(serial)) //nolint:gosec // bounded above
		copy(row[1+width-len(serial):], serial)
		one, _ := e.read(at)
		seconds := int64(noTime)
		if !one.RevocationTime.IsZero() {
			seconds = one.RevocationTime.Unix()
		}
		binary.BigEndian.PutUint64(row[1+width:], uint64(seconds)) //nolint:gosec // the same bits
		row[size-1] = byte(one.ReasonCode)                         //nolint:gosec // one octet, see read
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(bytes.Compare(rowOf(a)[:1+width], rowOf(b)[:1+width]), cmp.Compare(a, b))
	})
	t := &table{rows: make([]byte, 0, len(unsorted)), width: width}
	for _, i := range order {
		t.rows = append(t.rows, rowOf(i)...)
	}
	return t
}

// find gives the last entry of a serial number (content octets of the INTEGER).
func (t *table) find(serial []byte) (entry, bool) {
	size := t.width + rowRest
	n := len(t.rows) / size
	row := func(i int) []byte { return t.rows[i*size : (i+1)*size] }
	number := func(i int) []byte {
		r := row(i)
		return r[1+t.width-int(r[0]) : 1+t.width]
	}
	// The first row beyond the number: the one before it is the last that may have it.
	i := sort.Search(n, func(i int) bool { return compareSerials(number(i), serial) > 0 }) - 1
	if i < 0 || compareSerials(number(i), serial) != 0 {
		return entry{}, false
	}
	r := row(i)
	out := entry{ReasonCode: int(r[size-1])}
	if seconds := int64(binary.BigEndian.Uint64(r[1+t.width:])); seconds != noTime { //nolint:gosec // the same bits
		out.RevocationTime = time.Unix(seconds, 0).UTC()
	}
	return out, true
}

// compact lets go of a long list's bytes: what the signature is over stays as its hash.
func (c *CRL) compact(algorithm []byte) {
	if c.table(algorithm); c.entries.table == nil {
		c.entries.sort()
	}
}

func (c *CRL) table(algorithm []byte) {
	scheme, err := ocsp.SchemeOf(algorithm)
	if err != nil || scheme.Name == "Ed25519" {
		return // it is verified over the bytes themselves
	}
	table := c.entries.compact()
	if table == nil {
		return
	}
	h := scheme.Hash.New()
	h.Write(c.tbs)
	c.scheme, c.digest = scheme, h.Sum(nil)
	c.entries, c.der, c.tbs = &entries{table: table}, nil, nil
}

// signatureAlgorithm of a CertificateList (RFC 5280, 5.1.1.2), as DER.
func signatureAlgorithm(der []byte) (raw []byte) {
	s := cryptobyte.String(der)
	var list, algorithm cryptobyte.String
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) || !list.SkipASN1(cbasn1.SEQUENCE) || !list.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil
	}
	return algorithm
}

// digested is what is left of a list's bytes for its signature.
type digested struct {
	scheme cms.Scheme
	digest []byte
}
