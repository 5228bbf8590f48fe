package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/validation"
)

// ReadTimestamp reads a token into facts. imprint gives the digest of what it should
// stamp, nil when that is not there.
func ReadTimestamp(ctx context.Context, token []byte, kind string, imprint func(crypto.Hash) []byte) validation.TimestampFacts {
	t, _ := readToken(ctx, token, kind, imprint)
	return t
}

func readToken(ctx context.Context, token []byte, kind string, imprint func(crypto.Hash) []byte) (validation.TimestampFacts, *cms.Message) {
	t := validation.TimestampFacts{ID: validation.ObjectID(token), Raw: token, Kind: kind}
	if len(token) > timestamp.MaxToken {
		t.Note = "the token is too large"
		return t, nil
	}
	m, err := cms.Parse(&ctxReader{ctx, bytes.NewReader(token)}, cms.ParseOptions{})
	if err != nil {
		t.Note = err.Error()
		return t, nil
	}
	fault := func(id, text string) { t.Faults = append(t.Faults, validation.Fault{ID: id, Text: text}) }
	if m.ContentType != cms.OIDTSTInfo {
		fault("content-type", "its content type is "+m.ContentType)
	}
	info, err := timestamp.ParseInfo(m.Head)
	switch {
	case err != nil:
		t.Note = err.Error()
		return t, nil
	case len(m.Signers) != 1:
		// RFC 3161, 2.4.2: the token has the authority's signature and no other.
		t.Note = fmt.Sprintf("it has %d signers", len(m.Signers))
		return t, nil
	}
	t.GenTime = info.GenTime
	if info.Hash != 0 {
		t.ImprintDigest = info.Hash.String()
		if sum := imprint(info.Hash); sum != nil {
			t.ImprintFound, t.ImprintMatch = true, bytes.Equal(sum, info.Imprint)
		}
	}
	if !t.ImprintFound {
		t.Note = "what it stamps is not there, or its digest algorithm is not known: " + info.HashOID
	}
	t.Token = signerFacts(m, &m.Signers[0])
	t.Token.Format = "RFC 3161"
	authority(&t, info, fault)
	return t, m
}

// authority compares what a token must say of who made it (RFC 3161, 2.3 and 2.4.2).
func authority(t *validation.TimestampFacts, info *timestamp.Info, fault func(id, text string)) {
	if t.Token.Attribute.SigningCertificate.Version == 0 {
		fault("signing-certificate", "it does not name its signer's certificate (ESSCertID)")
	}
	if t.Token.Signer.Certificate == nil {
		return
	}
	c, err := certificate.Parse(t.Token.Signer.Certificate)
	if err != nil {
		return // the path will say so
	}
	if !stampsOnly(c) {
		fault("key-usage", "its signer's certificate is not for time-stamps alone (critical extended key usage)")
	}
	// The name is a hint: where it stands it must be one of the certificate's.
	if len(info.TSA) > 0 {
		var name asn1.RawValue
		if _, err := asn1.Unmarshal(info.TSA, &name); err == nil && name.Class == asn1.ClassContextSpecific && name.Tag == 4 && !bytes.Equal(name.Bytes, c.RawSubject) && !alternativeName(c, info.TSA) {
			fault("tsa-name", "the authority that it names is not its signer")
		}
	}
}

// alternativeName tells whether a GeneralName is one of the certificate's (RFC 5280,
// 4.2.1.6).
func alternativeName(c *x509.Certificate, name []byte) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			return false
		}
		return slices.ContainsFunc(names, func(n asn1.RawValue) bool { return bytes.Equal(n.FullBytes, name) })
	}
	return false
}

// stampsOnly: exactly one extended key usage, timeStamping, critical.
func stampsOnly(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(c.UnknownExtKeyUsage) > 0 {
		return false
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) {
			return e.Critical
		}
	}
	return false
}

// maxStamps bounds the tokens of one signature.
const maxStamps = 64

// stamps reads all time-stamps of a signer.
func stamps(ctx context.Context, m *cms.Message, si *cms.SignerInfo, f *validation.Facts) {
	add := func(t validation.TimestampFacts) {
		if len(f.Timestamps) < maxStamps {
			f.Timestamps = append(f.Timestamps, t)
		}
	}
	for _, a := range si.Signed {
		if a.OID == cms.OIDContentTimestamp {
			for _, v := range a.Values {
				// EN 319 122-1, 5.2.8: over the content's octets.
				add(ReadTimestamp(ctx, v, "content", func(h crypto.Hash) []byte { return m.Sums[h] }))
			}
		}
	}
	for _, a := range si.Unsigned {
		for _, v := range a.Values {
			switch a.OID {
			case cms.OIDSignatureTimestamp:
				// EN 319 122-1, 5.3: over the value of the signature field alone.
				t := ReadTimestamp(ctx, v, "signature", func(h crypto.Hash) []byte { return sum(h, si.Signature) })
				t.Covers = []string{f.ID}
				add(t)
			case cms.OIDArchiveTimestampV3:
				add(archiveStamp(ctx, m, si, f, v))
			case cms.OIDArchiveTimestampV2:
				add(archiveStampV2(ctx, m, si, f, v))
			case cms.OIDArchiveTimestamp:
				t := ReadTimestamp(ctx, v, "archive", func(crypto.Hash) []byte { return nil })
				t.Note = "archive time-stamps of version 1 are not compared"
				add(t)
			}
		}
	}
}

// archiveStamp is archive-time-stamp-v3 (EN 319 122-1, 5.5.3): its imprint is over the
// signature and an index of digests, which its own unsigned attribute holds.
func archiveStamp(ctx context.Context, m *cms.Message, si *cms.SignerInfo, f *validation.Facts, token []byte) validation.TimestampFacts {
	var index *hashIndex
	peek, err := cms.Parse(bytes.NewReader(token), cms.ParseOptions{})
	if err == nil && len(peek.Signers) == 1 {
		index, err = readHashIndex(peek.Signers[0].Unsigned)
	}
	t := ReadTimestamp(ctx, token, "archive", func(h crypto.Hash) []byte {
		content := m.Sums[h]
		if index == nil || content == nil {
			return nil
		}
		return archiveImprint(h, m, si, content, index.raw)
	})
	switch {
	case err != nil:
		t.Faults = append(t.Faults, validation.Fault{ID: "hash-index-unreadable", Text: err.Error()})
	case index == nil:
		t.Faults = append(t.Faults, validation.Fault{ID: "hash-index-unreadable", Text: "it has no ats-hash-index"})
	default:
		if t.ImprintDigest != "" && index.hash.String() != t.ImprintDigest {
			// EN 319 122-1, 5.5.2: the index is by the imprint's own algorithm.
			t.Faults = append(t.Faults, validation.Fault{ID: "hash-index-unreadable", Text: "its index is by " + index.hash.String() + ", its imprint by " + t.ImprintDigest})
		}
		missing := index.cover(m, si, f, &t)
		if missing > 0 {
			t.Faults = append(t.Faults, validation.Fault{ID: "hash-index-missing", Text: fmt.Sprintf("%d digests of its index are of nothing in the signature", missing)})
		}
	}
	return t
}

// archiveImprint is EN 319 122-1, 5.5.3, 1) to 4).
func archiveImprint(h crypto.Hash, m *cms.Message, si *cms.SignerInfo, content, index []byte) []byte {
	d := h.New()
	d.Write(cms.OID(m.ContentType))
	d.Write(content)
	el, _, err := cms.Next(si.Raw)
	if err != nil {
		return nil
	}
	for rest := el.Content; len(rest) > 0; {
		var field cms.Element
		if field, rest, err = cms.Next(rest); err != nil {
			return nil
		}
		if field.Tag == 0xA1 {
			break // unsignedAttrs: covered by the index
		}
		d.Write(field.Raw)
	}
	d.Write(index)
	return d.Sum(nil)
}

// otherRevocation gives the response in an OtherRevocationInfoFormat (RFC 5940, 2).
func otherRevocation(raw []byte) []byte {
	el, _, err := cms.Next(raw)
	if err != nil || el.Tag != 0xA1 {
		return nil
	}
	if _, rest, err := cms.Next(el.Content); err == nil {
		return rest
	}
	return nil
}

// BasicResponse gives the BasicOCSPResponse in an OCSPResponse (RFC 6960, 4.2.1), nil
// where there is none; one that stands alone comes back as it is.
func BasicResponse(der []byte) []byte {
	outer, _, err := cms.Next(der)
	if err != nil || outer.Tag != cms.TagSequence {
		return nil
	}
	status, rest, err := cms.Next(outer.Content)
	if err != nil || status.Tag != 0x0A {
		return der
	}
	explicit, _, err := cms.Next(rest)
	if err != nil || explicit.Tag != 0xA0 {
		return nil
	}
	bytesOf, _, err := cms.Next(explicit.Content)
	if err != nil {
		return nil
	}
	_, rest, err = cms.Next(bytesOf.Content)
	if err != nil {
		return nil
	}
	basic, err := cms.ParseOctetString(rest)
	if err != nil {
		return nil
	}
	return basic
}

// archivalInfo reads adbe-revocationInfoArchival (ISO 32000-2, 12.8.3.3.2), a signed
// attribute: [0] lists, [1] OCSPResponses.
func archivalInfo(a cms.Attribute) (lists, responses [][]byte) {
	for _, v := range a.Values {
		outer, _, err := cms.Next(v)
		if err != nil {
			continue
		}
		for rest := outer.Content; len(rest) > 0; {
			var el, inner cms.Element
			if el, rest, err = cms.Next(rest); err != nil {
				break
			}
			if inner, _, err = cms.Next(el.Content); err != nil {
				continue
			}
			for items := inner.Content; len(items) > 0 && len(lists)+len(responses) < maxValues; {
				var item cms.Element
				if item, items, err = cms.Next(items); err != nil {
					break
				}
				switch el.Tag {
				case 0xA0:
					lists = append(lists, item.Raw)
				case 0xA1:
					if basic := BasicResponse(item.Raw); basic != nil {
						responses = append(responses, basic)
					}
				}
			}
		}
	}
	return lists, responses
}

// maxValues bounds what one attribute of values may bring.
const maxValues = 256

// values reads certificate-values (RFC 5126, 6.3.3: a SEQUENCE OF Certificate) and
// revocation-values (6.3.4: [0] lists, [1] BasicOCSPResponses, [2] others).
func values(a cms.Attribute) (certs, lists, responses [][]byte) {
	each := func(content []byte, to *[][]byte) {
		for rest := content; len(rest) > 0 && len(*to) < maxValues; {
			el, next, err := cms.Next(rest)
			if err != nil {
				return
			}
			*to, rest = append(*to, el.Raw), next
		}
	}
	for _, v := range a.Values {
		outer, _, err := cms.Next(v)
		if err != nil {
			continue
		}
		if a.OID == cms.OIDCertValues {
			each(outer.Content, &certs)
			continue
		}
		for rest := outer.Content; len(rest) > 0; {
			el, next, err := cms.Next(rest)
			if err != nil {
				break
			}
			rest = next
			inner, _, err := cms.Next(el.Content)
			switch {
			case err != nil:
			case el.Tag == 0xA0:
				each(inner.Content, &lists)
			case el.Tag == 0xA1:
				each(inner.Content, &responses)
			}
		}
	}
	return certs, lists, responses
}
