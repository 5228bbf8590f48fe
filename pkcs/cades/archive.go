package cades

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/validation"
)

// archiveStampV2 is archive-time-stamp-v2 (ETSI TS 101 733 v2.2.1, 6.4.1): its imprint is
// over the whole message but the archive time-stamps that came after it. Two readings are
// in use, with the header of unsignedAttrs (v2.2.1) and without (v1.8.3).
func archiveStampV2(ctx context.Context, m *cms.Message, si *cms.SignerInfo, f *validation.Facts, token []byte) validation.TimestampFacts {
	others := laterThan(token)
	t := ReadTimestamp(ctx, token, "archive", func(h crypto.Hash) (imprint []byte) {
		info := peekInfo(token)
		if info == nil {
			return nil
		}
		// Of two in one second either may be the older one.
		for _, others.equal = range []bool{false, true} {
			for _, withHeader := range []bool{true, false} {
				if imprint = archiveImprintV2(h, m, si, others, withHeader); bytes.Equal(imprint, info.Imprint) {
					return imprint
				}
			}
		}
		return imprint
	})
	if !t.ImprintMatch {
		return t
	}
	t.Covers = append(t.Covers, f.ID)
	for _, raw := range slices.Concat(m.RawCertificates, m.CRLs, m.OCSPs) {
		t.Covers = append(t.Covers, validation.ObjectID(raw))
	}
	whole := hashIndex{}
	for _, a := range si.Unsigned {
		for _, v := range a.Values {
			if !others.has(a.OID, v) {
				whole.coverValues(cms.Attribute{OID: a.OID, Values: [][]byte{v}}, &t)
			}
		}
	}
	return t
}

// archiveImprintV2 is nil when the content is not there.
func archiveImprintV2(h crypto.Hash, m *cms.Message, si *cms.SignerInfo, others later, withHeader bool) []byte {
	d := m.Archive(h)
	if d == nil {
		return nil
	}
	d.Write(m.CertificateSet)
	d.Write(m.CRLSet)
	el, _, err := cms.Next(si.Raw)
	if err != nil {
		return nil
	}
	for rest := el.Content; len(rest) > 0; {
		var field cms.Element
		if field, rest, err = cms.Next(rest); err != nil {
			return nil
		}
		if field.Tag != tagUnsigned {
			d.Write(field.Raw)
			continue
		}
		var attributes []byte
		for inner := field.Content; len(inner) > 0; {
			var a cms.Element
			if a, inner, err = cms.Next(inner); err != nil {
				return nil
			}
			if !others.attribute(a) {
				attributes = append(attributes, a.Raw...)
			}
		}
		if withHeader && len(attributes) > 0 {
			d.Write(cms.Header(tagUnsigned, int64(len(attributes))))
		}
		d.Write(attributes)
	}
	return d.Sum(nil)
}

// later are the archive time-stamps that were not there yet when another was made.
type later struct {
	token []byte
	at    time.Time
	equal bool // those of the same second too
}

func laterThan(token []byte) later { return later{token: token, at: genTime(token)} }

// attribute tells whether an unsigned attribute is one of them.
func (l later) attribute(a cms.Element) bool {
	oid, err := cms.ParseOID(a.Content)
	if err != nil {
		return false
	}
	_, rest, err := cms.Next(a.Content)
	if err != nil {
		return false
	}
	set, _, err := cms.Next(rest)
	if err != nil {
		return false
	}
	return l.has(oid, set.Content)
}

func (l later) has(oid string, value []byte) bool {
	switch oid {
	case cms.OIDArchiveTimestamp, cms.OIDArchiveTimestampV2, cms.OIDArchiveTimestampV3:
		at := genTime(value)
		return bytes.Equal(value, l.token) || at.After(l.at) || l.equal && at.Equal(l.at)
	}
	return false
}

func genTime(token []byte) time.Time {
	if info := peekInfo(token); info != nil {
		return info.GenTime
	}
	return time.Time{}
}

// peekInfo gives what a token says, nil when it cannot be read.
func peekInfo(token []byte) *timestamp.Info {
	m, err := cms.Parse(bytes.NewReader(token), cms.ParseOptions{})
	if err != nil {
		return nil
	}
	info, err := timestamp.ParseInfo(m.Head)
	if err != nil {
		return nil
	}
	return info
}

// again are the hashes that archive time-stamps need and one reading of the file did not
// make: only they know which, and they come after the content.
func again(m *cms.Message) (content, archive []crypto.Hash) {
	if !m.ContentGiven {
		return nil, nil
	}
	for _, si := range m.Signers {
		for _, a := range si.Unsigned {
			if a.OID != cms.OIDArchiveTimestampV2 && a.OID != cms.OIDArchiveTimestampV3 {
				continue
			}
			for _, v := range a.Values[:min(len(a.Values), maxStamps)] {
				info := peekInfo(v)
				if info == nil || info.Hash == 0 {
					continue
				}
				if a.OID == cms.OIDArchiveTimestampV2 && m.Archive(info.Hash) == nil && !slices.Contains(archive, info.Hash) {
					archive = append(archive, info.Hash)
				}
				if a.OID == cms.OIDArchiveTimestampV3 && m.Sums[info.Hash] == nil && !slices.Contains(content, info.Hash) {
					content = append(content, info.Hash)
				}
			}
		}
	}
	return content, archive
}

// readAgain makes these hashes: from the content in memory where it is small, else from
// the file and its content where they can be read a second time; else the time-stamps
// stay without what they stamp.
func readAgain(ctx context.Context, m *cms.Message, r io.Reader, start int64, o ReadOptions) (*cms.Message, error) {
	content, archive := again(m)
	if m.Head != nil {
		for _, h := range content {
			m.Sums[h] = sum(h, m.Head)
		}
		content = nil
	}
	file, ok := r.(io.Seeker)
	if len(content)+len(archive) == 0 || !ok || start < 0 {
		return m, nil
	}
	if o.Content != nil {
		beside, ok := o.Content.(io.Seeker)
		if !ok || o.contentStart < 0 {
			return m, nil
		}
		if _, err := beside.Seek(o.contentStart, io.SeekStart); err != nil {
			return nil, fmt.Errorf("cades: second read: %w", err)
		}
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("cades: second read: %w", err)
	}
	second, err := cms.Parse(&ctxReader{ctx, r}, cms.ParseOptions{Content: withContext(ctx, o.Content), Hashes: content, Archive: archive})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(second.Sums[crypto.SHA256], m.Sums[crypto.SHA256]) || len(second.Signers) != len(m.Signers) {
		return nil, fmt.Errorf("%w: it changed between two reads", ErrContentChanged)
	}
	return second, nil
}

// place is where a reader stands, -1 for one that cannot go back.
func place(r io.Reader) int64 {
	s, ok := r.(io.Seeker)
	if !ok {
		return -1
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	return at
}
