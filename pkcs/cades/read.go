package cades

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// OIDDeclaration marks CiTel's login by declaration: a signed attribute that the
// agent's `sign` never sets. The arc is below a UUID of ours (ITU-T X.667).
const OIDDeclaration = "2.25.1.3"

// ReadOptions says where the content comes from and goes to.
type ReadOptions struct {
	// Content of a detached signature; nil when there is none.
	Content io.Reader
	// Extract receives the enveloped content as it is read. What it got must not
	// be used before the facts were judged.
	Extract io.Writer
	// Contents are what a detached signature may be over, when there are several: each
	// signer is held against the one that fits. Content is not used then.
	Contents []Content

	contentStart int64
}

// Content is one of several contents, with a name for reports.
type Content struct {
	Name   string
	Reader io.Reader
}

// Read collects the facts about every signer of a CMS file, in the file's order.
// The error says that there is nothing to judge: cms.ErrNotCMS,
// cms.ErrMalformed, cms.ErrTooLarge, or a failure to read.
func Read(ctx context.Context, r io.Reader, o ReadOptions) ([]*validation.Facts, error) {
	if len(o.Contents) > 0 {
		return readSeveral(ctx, r, o)
	}
	start := place(r)
	if o.Content != nil {
		o.contentStart = place(o.Content)
	}
	m, err := cms.Parse(&ctxReader{ctx, r}, cms.ParseOptions{Content: withContext(ctx, o.Content), Extract: o.Extract})
	if err != nil {
		return nil, err
	}
	if m, err = readAgain(ctx, m, r, start, o); err != nil {
		return nil, err
	}
	out := make([]*validation.Facts, 0, len(m.Signers))
	for i := range m.Signers {
		out = append(out, facts(ctx, m, &m.Signers[i]))
	}
	return out, nil
}

func facts(ctx context.Context, m *cms.Message, si *cms.SignerInfo) *validation.Facts {
	f := signerFacts(m, si)
	stamps(ctx, m, si, f)
	counterSignatures(ctx, m, si, f, maxCounterDepth)
	return f
}

// readSeveral holds each signer against the content that fits: the one whose digest it
// signed, else the first.
func readSeveral(ctx context.Context, r io.Reader, o ReadOptions) ([]*validation.Facts, error) {
	m, err := cms.Parse(&ctxReader{ctx, r}, cms.ParseOptions{Content: withContext(ctx, o.Contents[0].Reader), Extract: o.Extract})
	if err != nil {
		return nil, err
	}
	over := []*cms.Message{m}
	if m.Detached {
		for _, c := range o.Contents[1:] {
			other, err := m.With(withContext(ctx, c.Reader))
			if err != nil {
				return nil, err
			}
			over = append(over, other)
		}
	}
	out := make([]*validation.Facts, 0, len(m.Signers))
	for i := range m.Signers {
		si := &m.Signers[i]
		at := max(0, slices.IndexFunc(over, func(m *cms.Message) bool { return signed(m, si) }))
		f := facts(ctx, over[at], si)
		if m.Detached && signed(over[at], si) {
			f.Content.Name = o.Contents[at].Name
		}
		out = append(out, f)
	}
	return out, nil
}

// signed tells whether a signer names the digest of a message's content, or, without
// attributes, signed it.
func signed(m *cms.Message, si *cms.SignerInfo) bool {
	if si.SignedAttrs == nil {
		return signerFacts(m, si).Value.OverReceived
	}
	v, ok := find(si.Signed, cms.OIDMessageDigest)
	if !ok {
		return false
	}
	got, err := cms.ParseOctetString(v)
	sum := m.Sums[cms.HashByOID(si.Digest.OID)]
	return err == nil && sum != nil && bytes.Equal(got, sum)
}

// ctxReader ends a long read when its context is done.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func withContext(ctx context.Context, r io.Reader) io.Reader {
	if r == nil {
		return nil
	}
	return &ctxReader{ctx, r}
}

func signerFacts(m *cms.Message, si *cms.SignerInfo) *validation.Facts {
	f := &validation.Facts{ID: validation.ObjectID(si.Signature), Format: "CAdES", CRLs: slices.Clone(m.CRLs), OCSPs: slices.Clone(m.OCSPs)}
	for _, x := range slices.Concat(m.Faults, si.Faults) {
		f.Faults = append(f.Faults, validation.Fault{ID: x.ID, Text: x.Text})
	}
	for _, c := range m.Certificates {
		f.Certificates = append(f.Certificates, c.Raw)
	}
	for _, a := range si.Unsigned {
		if a.OID == cms.OIDCertValues || a.OID == cms.OIDRevocationValues {
			certs, lists, responses := values(a)
			f.Certificates, f.CRLs, f.OCSPs = append(f.Certificates, certs...), append(f.CRLs, lists...), append(f.OCSPs, responses...)
		}
	}
	for _, a := range si.Signed {
		if a.OID == cms.OIDRevocationArchival {
			lists, responses := archivalInfo(a)
			f.CRLs, f.OCSPs = append(f.CRLs, lists...), append(f.OCSPs, responses...)
		}
	}
	f.Content = validation.ContentFacts{
		Found: m.ContentGiven, Detached: m.Detached, Type: m.ContentType,
		SHA256: m.Sums[crypto.SHA256], Bytes: m.ContentBytes,
		LooksLikeAttributes: cms.LooksLikeSignedAttributes(m.Head),
	}
	cert := signerCertificate(m, si, f)
	attributeFacts(m, si, cert, f)
	valueFacts(m, si, cert, f)
	f.Level = level(f)
	if f.Attribute.SigningCertificate.Version == 0 {
		f.Format = "CMS"
	}
	return f
}

// signerCertificate finds the signer's certificate. Where several fit, the one
// that the ESS attribute names is taken, and the ambiguity is told.
func signerCertificate(m *cms.Message, si *cms.SignerInfo, f *validation.Facts) *cms.Certificate {
	f.Signer.Version = si.Version
	f.Signer.By = "issuerAndSerialNumber"
	if si.SKI != nil {
		f.Signer.By = "subjectKeyIdentifier"
	}
	// RFC 5652, 5.3: version 1 goes with issuerAndSerialNumber, 3 with the key identifier.
	if (si.Version == 3) != (si.SKI != nil) {
		addFault(f, "signer-version", fmt.Sprintf("SignerInfo version %d does not go with %s", si.Version, f.Signer.By))
	}
	found := m.Find(si)
	if len(found) == 0 {
		return nil
	}
	f.Signer.Ambiguous = len(found) > 1
	best := &found[0]
	for i := range found {
		if essMatches(si, found[i].Raw) {
			best = &found[i]
			break
		}
	}
	f.Signer.Certificate = best.Raw
	return best
}

func addFault(f *validation.Facts, id, text string) {
	f.Faults = append(f.Faults, validation.Fault{ID: id, Text: text})
}

// find gives the single value of a signed attribute. ok is false when it is
// absent, stands twice, or does not have exactly one value (RFC 5652, 11).
func find(attrs []cms.Attribute, oid string) (value []byte, ok bool) {
	n := 0
	for _, a := range attrs {
		if a.OID != oid {
			continue
		}
		n++
		if len(a.Values) == 1 {
			value, ok = a.Values[0], true
		} else {
			n++
		}
	}
	return value, ok && n == 1
}

func has(attrs []cms.Attribute, oid string) bool {
	return slices.ContainsFunc(attrs, func(a cms.Attribute) bool { return a.OID == oid })
}

// singleValued are the attributes that have exactly one value (RFC 5652, 11; RFC 5035, 3;
// RFC 6211, 2; EN 319 122-1, 5.2.9).
var singleValued = []string{
	cms.OIDContentType, cms.OIDMessageDigest, cms.OIDSigningTime, cms.OIDSigningCertificate, cms.OIDSigningCertificateV2,
	cms.OIDAlgorithmProtection, cms.OIDSignaturePolicy, OIDDeclaration,
}

// repeatable are the signed attributes of which there may be several (EN 319 122-1, 6.3,
// table 1): content-time-stamp, commitment-type-indication.
var repeatable = []string{cms.OIDContentTimestamp, "1.2.840.113549.1.9.16.2.16"}

func attributeFacts(m *cms.Message, si *cms.SignerInfo, cert *cms.Certificate, f *validation.Facts) {
	a := &f.Attribute
	a.Present = si.SignedAttrs != nil
	seen := map[string]int{}
	for _, at := range si.Signed {
		a.Signed = append(a.Signed, at.OID)
		seen[at.OID]++
		// RFC 5652, 11 and EN 319 122-1, 6.3, table 1: those that are understood here stand
		// once and have one value, but for those that may come again. A stranger's
		// repetition is only odd.
		known := slices.Contains(singleValued, at.OID)
		switch {
		case known && (seen[at.OID] == 2 || len(at.Values) != 1):
			a.Duplicated = append(a.Duplicated, at.OID)
		case !known && seen[at.OID] == 2 && !slices.Contains(repeatable, at.OID):
			addFault(f, "attribute-repeated", "the signed attribute "+at.OID+", which is not known here, is repeated")
		}
	}
	for _, at := range si.Unsigned {
		a.Unsigned = append(a.Unsigned, at.OID)
	}
	if v, ok := find(si.Signed, cms.OIDContentType); ok {
		a.ContentTypePresent = true
		oid, err := cms.ParseOID(v)
		a.ContentTypeMatch = err == nil && oid == m.ContentType
	}
	if v, ok := find(si.Signed, cms.OIDMessageDigest); ok {
		a.DigestPresent = true
		sum := m.Sums[cms.HashByOID(si.Digest.OID)]
		got, err := cms.ParseOctetString(v)
		// Nothing here is secret: a plain compare is enough.
		a.DigestMatch = err == nil && sum != nil && bytes.Equal(got, sum)
	}
	if h := cms.HashByOID(si.Digest.OID); h != 0 && m.ContentGiven && m.Sums[h] == nil {
		// RFC 5652, 5.1, digestAlgorithms: a verifier may refuse what is not announced.
		addFault(f, "digest-not-announced", "SignedData does not announce the signer's digest algorithm, so the content was not hashed with it")
	}
	if v, ok := find(si.Signed, cms.OIDSigningTime); ok {
		if t, err := cms.ParseTime(v); err == nil {
			t = t.UTC()
			a.SigningTime = &t
		} else {
			addFault(f, "signing-time-unreadable", err.Error())
		}
	}
	a.SigningCertificate = essFacts(si, cert)
	if v, ok := find(si.Signed, cms.OIDAlgorithmProtection); ok {
		agrees := cms.AlgorithmProtectionAgrees(v, si)
		a.AlgorithmProtection = &agrees
	}
	a.Declaration = has(si.Signed, OIDDeclaration)
	f.SignaturePolicy = signaturePolicy(si, f)
}

func valueFacts(m *cms.Message, si *cms.SignerInfo, cert *cms.Certificate, f *validation.Facts) {
	v := &f.Value
	v.Raw = si.Signature
	v.DigestAlgorithm, v.SignatureAlgorithm = si.Digest.OID, si.Algorithm.OID
	if h := cms.HashByOID(si.Digest.OID); h != 0 {
		v.DigestName = h.String()
	}
	scheme, err := cms.SchemeOf(si.Digest, si.Algorithm)
	if scheme.Name != "" {
		v.KeyName = scheme.Name
	}
	if errors.Is(err, cms.ErrAlgorithmMismatch) {
		v.ParametersFault = err.Error()
	}
	if err != nil {
		v.Note = err.Error()
		return
	}
	if cert == nil {
		v.Note = "no certificate, no key"
		return
	}
	key, err := cms.PublicKey(cert.SPKI)
	if err != nil {
		v.Note = err.Error()
		return
	}
	_, v.KeyBits = cms.KeyFacts(key)
	verifyValue(m, si, scheme, key, v)
}

// verifyValue is RFC 5652, 5.6, Signature Verification Process.
func verifyValue(m *cms.Message, si *cms.SignerInfo, scheme cms.Scheme, key crypto.PublicKey, v *validation.ValueFacts) {
	if si.SignedAttrs == nil {
		sum := m.Sums[scheme.Hash]
		if sum == nil {
			v.Note = "no content to verify"
			return
		}
		v.Checked, v.ReceivedIsDER = true, true
		err := tolerant(scheme.Verify(key, sum, si.Signature), v)
		v.OverReceived = err == nil
		v.OverDER = err == nil
		v.Note = note(err)
		return
	}
	v.Checked = true
	received := cms.AsSet(si.SignedAttrs)
	v.ReceivedIsDER = cms.IsDER(received)
	err := tolerant(scheme.VerifyData(key, received, si.Signature), v)
	v.OverReceived = err == nil
	if v.ReceivedIsDER {
		v.OverDER = v.OverReceived
	} else if der, derErr := cms.AppendDER(nil, received); derErr == nil {
		derr := tolerant(scheme.VerifyData(key, der, si.Signature), v)
		v.OverDER = derr == nil
		if err != nil && derr == nil {
			err = nil
		}
	}
	v.Note = note(err)
}

// tolerant takes a signature whose padding lacks NULL for one that holds, and says so:
// the policy decides. The whole padded block was compared, nothing in it is parsed.
func tolerant(err error, v *validation.ValueFacts) error {
	if errors.Is(err, cms.ErrDigestInfoWithoutNull) {
		v.WithoutNull = true
		return nil
	}
	return err
}

func note(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// level is what the attributes claim (ETSI EN 319 122-1, 6.3).
func level(f *validation.Facts) string {
	a := &f.Attribute
	switch {
	case a.SigningCertificate.Version == 0 || !a.ContentTypePresent || !a.DigestPresent:
		return "CMS"
	case slices.Contains(a.Unsigned, cms.OIDArchiveTimestampV3):
		return "B-LTA"
	case !slices.Contains(a.Unsigned, cms.OIDSignatureTimestamp):
		return "B-B"
	case len(f.CRLs)+len(f.OCSPs) > 0:
		return "B-LT"
	}
	return "B-T"
}
