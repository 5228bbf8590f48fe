package validation

import (
	"slices"
	"strings"
	"time"
)

// Check is a row of the policy table.
type Check struct {
	ID string
	// Clause of ETSI EN 319 102-1 v1.4.1 unless it names another standard.
	Clause string
	// Level is the default; a policy may override it.
	Level Level
	// Failed: a failure proves the signature wrong (TOTAL-FAILED); otherwise it
	// leaves it open (INDETERMINATE).
	Failed bool
	Sub    SubIndication

	run func(*view, *Policy) []outcome
}

// outcome is one failure of a check; none at all means that it passed.
type outcome struct {
	args   []any         // for the sentence
	sub    SubIndication // instead of the check's
	level  Level         // instead of FAIL, where the check knows better
	failed bool
}

// Checks that policies or callers name.
const (
	CheckESSPresent         = "signing-certificate-present"
	CheckRevocationNoSource = "revocation-no-source"
	CheckKnownProfile       = "known-profile"
	CheckTestMaterial       = "test-material"
	CheckRevoked            = "revoked"
	CheckRevocationKnown    = "revocation-known"
	CheckRevocationIssuer   = "revocation-issuer-validity"
	CheckDigestInfoNull     = "digest-info-null"
	CheckRevocationVouched  = "revocation-issuer-status"
	CheckAlgorithms         = "algorithms"
	CheckDigest             = "message-digest"
	CheckFormatKnown        = "format-known"
)

// Table lists the checks in the order of EN 319 102-1's building blocks: format
// (5.2.2), signing certificate (5.2.3), X.509 validation (5.2.6), cryptographic
// verification (5.2.7), signature acceptance (5.2.8), time-stamps (5.4, 5.5).
func Table() []Check { return slices.Concat(table, stampTable, stampChecks) }

var table = []Check{
	{ID: CheckFormatKnown, Clause: "5.2.2", Level: Fail, Sub: sameAsCheck,
		run: func(f *view, _ *Policy) []outcome {
			if f.Unread {
				return one("format", f.Format)
			}
			return nil
		}},
	{ID: "content-is-attributes", Clause: "draft-ietf-lamps-cms-euf-cma-signeddata, 4", Level: Fail, Failed: true, Sub: FormatFailure,
		run: fails(func(f *view) bool { return f.Content.LooksLikeAttributes && !f.Attribute.Present })},
	{ID: "attributes-present", Clause: "ETSI EN 319 122-1, 6.3", Level: Fail, Sub: SigConstraintsFailure,
		run: fails(func(f *view) bool { return !f.Attribute.Present })},
	{ID: "attributes-unique", Clause: "RFC 5652, 11", Level: Fail, Failed: true, Sub: FormatFailure, run: attributesUnique},
	{ID: "content-type", Clause: "RFC 5652, 11.1", Level: Fail, Failed: true, Sub: FormatFailure,
		run: fails(func(f *view) bool { return f.Attribute.Present && !f.Attribute.ContentTypeMatch })},
	{ID: "algorithm-parameters", Clause: "RFC 5652, 10.1", Level: Fail, Failed: true, Sub: FormatFailure, run: parameters},
	{ID: "algorithm-protection", Clause: "RFC 6211, 2", Level: Fail, Failed: true, Sub: FormatFailure,
		run: fails(func(f *view) bool { p := f.Attribute.AlgorithmProtection; return p != nil && !*p })},
	{ID: "pdf-structure", Clause: "5.2.2; ISO 32000-2, 12.8.1", Level: Fail, Failed: true, Sub: FormatFailure, run: pdfStructure},
	{ID: "pdf-content-changed", Clause: "5.2.2; ISO 32000-2, 12.8.2", Level: Fail, Failed: true, Sub: FormatFailure, run: pdfChanges(true)},
	{ID: "pdf-compared", Clause: "5.2.2; ISO 32000-2, 12.8.2", Level: Fail, Sub: SigConstraintsFailure, run: pdfCompared},
	{ID: "pdf-changed", Clause: "5.2.2; ISO 32000-2, 12.8.2", Level: Warn, Sub: FormatFailure, run: pdfChanges(false)},
	{ID: "pdf-not-permitted", Clause: "5.2.2; ISO 32000-2, 12.8.2.2", Level: Fail, Failed: true, Sub: FormatFailure, run: pdfForbidden},
	{ID: "encoding", Clause: "5.2.2", Level: Warn, Sub: FormatFailure, run: encoding},

	{ID: "signing-certificate-found", Clause: "5.2.3", Level: Fail, Sub: NoSigningCertificateFound,
		run: fails(func(f *view) bool { return f.Signer.Certificate == nil })},
	{ID: CheckESSPresent, Clause: "5.2.3; RFC 5035", Level: Warn, Sub: SigConstraintsFailure,
		run: fails(func(f *view) bool { return f.Attribute.Present && f.Attribute.SigningCertificate.Version == 0 })},
	{ID: "signing-certificate-match", Clause: "5.2.3; RFC 5035", Level: Fail, Sub: NoSigningCertificateFound,
		run: fails(func(f *view) bool {
			return f.Attribute.SigningCertificate.Version != 0 && f.Signer.Certificate != nil && !f.Attribute.SigningCertificate.Match
		})},
	{ID: "signing-certificate-issuer-serial", Clause: "5.2.3", Level: Warn, Sub: NoSigningCertificateFound,
		run: fails(func(f *view) bool { m := f.Attribute.SigningCertificate.IssuerSerialMatch; return m != nil && !*m })},

	{ID: "signature-policy-known", Clause: "5.2.4", Level: Inform, Sub: SignaturePolicyNotAvailable, run: policyKnown},
	{ID: "signature-policy-hash", Clause: "5.2.4", Level: Warn, Sub: PolicyProcessingError, run: policyHash},

	{ID: "chain-found", Clause: "5.2.6", Level: Fail, Sub: NoCertificateChainFound, run: chainFound},
	{ID: "anchor-period", Clause: "5.2.6; ETSI TS 119 612, 5.5.4", Level: Fail, Sub: NoChainFoundNoPOE, run: anchorPeriod},
	{ID: "anchor-list", Clause: "ETSI TS 119 612, 5.3.15", Level: Warn, Sub: ChainConstraintsFailure, run: anchorList},
	{ID: "anchor-list-age", Clause: "ETSI TS 119 612, 5.3.15", Level: Fail, Sub: NoCertificateChainFound, run: anchorListAge},
	{ID: "chain-rules", Clause: "5.2.6; RFC 5280, 6.1", Level: Fail, Sub: CertificateChainGeneral, run: chainRules},
	{ID: "validity", Clause: "5.2.6", Level: Fail, Sub: OutOfBoundsNoPOE, run: validity},
	{ID: "issuer-validity", Clause: "5.2.6", Level: Fail, Sub: OutOfBoundsNoPOE, run: issuerValidity},
	{ID: "key-usage", Clause: "5.2.6; RFC 5280, 4.2.1.3", Level: Fail, Sub: ChainConstraintsFailure, run: keyUsage},
	{ID: CheckRevoked, Clause: "5.2.6", Level: Fail, Sub: RevokedNoPOE, run: revoked},
	{ID: CheckRevocationIssuer, Clause: "5.2.5", Level: Fail, Sub: RevocationOutOfBounds, run: revocationIssuer},
	{ID: CheckRevocationKnown, Clause: "5.2.5", Level: Fail, Sub: CertificateChainGeneral, run: revocationKnown},
	{ID: CheckRevocationVouched, Clause: "5.2.5; RFC 6960, 4.2.2.2.1", Level: Warn, Sub: CertificateChainGeneral, run: revocationVouched},
	{ID: CheckRevocationNoSource, Clause: "5.2.5", Level: Warn, Sub: CertificateChainGeneral, run: revocationNoSource},
	{ID: CheckKnownProfile, Clause: "ETSI EN 319 412-1", Level: Inform, Sub: ChainConstraintsFailure, run: knownProfile},
	{ID: CheckTestMaterial, Clause: "", Level: Inform, Sub: ChainConstraintsFailure,
		run: fails(func(f *view) bool { return f.Chain.Anchor != nil && f.Chain.Anchor.Test })},

	{ID: "content-found", Clause: "5.2.7", Level: Fail, Sub: SignedDataNotFound,
		run: fails(func(f *view) bool { return !f.Content.Found })},
	{ID: CheckDigest, Clause: "5.2.7; RFC 5652, 11.2", Level: Fail, Failed: true, Sub: HashFailure,
		run: fails(func(f *view) bool { return f.Content.Found && f.Attribute.Present && !f.Attribute.DigestMatch })},
	{ID: "signature-value", Clause: "5.2.7; RFC 5652, 5.6", Level: Fail, Failed: true, Sub: SigCryptoFailure, run: signatureValue},
	{ID: CheckDigestInfoNull, Clause: "5.2.7; RFC 8017, 9.2, note 1", Level: Warn, Failed: true, Sub: SigCryptoFailure,
		run: fails(func(f *view) bool { return f.Value.WithoutNull })},
	{ID: "algorithm-known", Clause: "5.2.7", Level: Fail, Sub: CryptoConstraintsFailure,
		run: fails(func(f *view) bool { return f.Signer.Certificate != nil && !f.Value.Checked && canCheck(f) })},
	{ID: "attributes-order", Clause: "RFC 5652, 5.4", Level: Warn, Sub: FormatFailure,
		run: fails(func(f *view) bool { return f.Value.OverReceived && !f.Value.ReceivedIsDER && f.Attribute.Present })},
	{ID: "attributes-reordered", Clause: "RFC 5652, 5.4", Level: Warn, Sub: FormatFailure,
		run: fails(func(f *view) bool { return !f.Value.OverReceived && f.Value.OverDER })},

	{ID: "signing-time-present", Clause: "5.2.8; ETSI EN 319 122-1, 6.3", Level: Fail, Sub: SigConstraintsFailure,
		run: fails(func(f *view) bool {
			if f.PDF != nil && f.PDF.Encrypted {
				return false // M is a string of the file, which is encrypted
			}
			return (f.Format == "CAdES" || f.Format == "PAdES") && f.Level != "CMS" && f.Attribute.Present && f.Attribute.SigningTime == nil
		})},
	{ID: "signing-time-in-validity", Clause: "5.2.8", Level: Fail, Sub: SigConstraintsFailure, run: signingTimeInValidity},
	{ID: "signing-time-future", Clause: "5.2.8", Level: Warn, Sub: SigConstraintsFailure, run: signingTimeFuture},
	{ID: CheckAlgorithms, Clause: "5.2.8; ETSI TS 119 312", Level: Fail, Sub: CryptoConstraintsNoPOE, run: algorithms},
	{ID: "declaration", Clause: "", Level: Inform, Sub: SigConstraintsFailure,
		run: fails(func(f *view) bool { return f.Attribute.Declaration })},
}

// fails makes a check of a condition that needs no words.
func fails(bad func(*view) bool) func(*view, *Policy) []outcome {
	return func(f *view, _ *Policy) []outcome {
		if bad(f) {
			return []outcome{{}}
		}
		return nil
	}
}

func one(args ...any) []outcome { return []outcome{{args: args}} }

func attributesUnique(f *view, _ *Policy) []outcome {
	if len(f.Attribute.Duplicated) > 0 {
		return one("attributes", strings.Join(f.Attribute.Duplicated, ", "))
	}
	return nil
}

func parameters(f *view, _ *Policy) []outcome {
	if f.Value.ParametersFault != "" {
		return one("what", f.Value.ParametersFault)
	}
	return nil
}

func encoding(f *view, _ *Policy) []outcome {
	var out []outcome
	for _, x := range f.Faults {
		if strings.HasPrefix(x.ID, pdfFault) {
			continue
		}
		out = append(out, outcome{args: []any{"what", x.Text}})
	}
	return out
}

func chainFound(f *view, _ *Policy) []outcome {
	if f.Signer.Certificate != nil && !f.Chain.Found {
		return one("why", f.Chain.Note)
	}
	return nil
}

func chainRules(f *view, _ *Policy) []outcome {
	var out []outcome
	for _, l := range f.Chain.Links {
		for _, x := range l.Faults {
			out = append(out, outcome{args: []any{"who", subjectOf(l.Certificate), "what", x.ID + ": " + x.Text}})
		}
	}
	return out
}

// validity of the signer's certificate at the time of validation. After its end
// the certificate may be proved not revoked, which later evidence can build on.
func validity(f *view, p *Policy) []outcome {
	if len(f.Chain.Links) == 0 {
		return nil
	}
	l := f.Chain.Links[0]
	switch {
	case f.Time.Before(l.NotBefore):
		return []outcome{{args: []any{"who", f.name(0), "from", day(l.NotBefore), "to", day(l.NotAfter)}, sub: NotYetValid, failed: true}}
	case f.Time.After(l.NotAfter):
		o := outcome{args: []any{"who", f.name(0), "from", day(l.NotBefore), "to", day(l.NotAfter)}}
		if status(f, 0, p).known == "good" {
			o.sub = OutOfBoundsNotRevoked
		}
		return []outcome{o}
	}
	return nil
}

func issuerValidity(f *view, _ *Policy) []outcome {
	var out []outcome
	for i, l := range f.Chain.Links {
		// The anchor is trusted as such (RFC 5280, 6.1.1 (d)): its own end is told
		// and no more.
		if i > 0 && (f.Time.Before(l.NotBefore) || f.Time.After(l.NotAfter)) {
			o := outcome{args: []any{"who", f.name(i), "from", day(l.NotBefore), "to", day(l.NotAfter)}}
			if i == len(f.Chain.Links)-1 {
				o.level = Warn
			}
			out = append(out, o)
		}
	}
	return out
}

func keyUsage(f *view, _ *Policy) []outcome {
	ku := f.Identity.KeyUsage
	if f.Signer.Certificate == nil || len(ku) == 0 || slices.Contains(ku, "nonRepudiation") || slices.Contains(ku, "digitalSignature") {
		return nil
	}
	return one("who", f.Identity.Subject, "usage", strings.Join(ku, ", "))
}

func knownProfile(f *view, _ *Policy) []outcome {
	if f.Chain.Found && (f.Identity.Profile == "" || f.Identity.CodiceFiscale == "") && !f.Identity.Seal {
		return one("seen", f.Identity.Problem)
	}
	return nil
}

// canCheck: nothing but the algorithm stands in the way of trying the value.
func canCheck(f *view) bool { return f.Attribute.Present || f.Content.Found }

func signatureValue(f *view, _ *Policy) []outcome {
	if f.Value.Checked && !f.Value.OverReceived && !f.Value.OverDER {
		return one("why", f.Value.Note)
	}
	return nil
}

func signingTimeInValidity(f *view, p *Policy) []outcome {
	t := f.Attribute.SigningTime
	if t == nil || len(f.Chain.Links) == 0 {
		return nil
	}
	l := f.Chain.Links[0]
	if t.Before(l.NotBefore.Add(-p.skew())) || t.After(l.NotAfter) {
		return one("time", day(*t), "from", day(l.NotBefore), "to", day(l.NotAfter))
	}
	return nil
}

func signingTimeFuture(f *view, p *Policy) []outcome {
	if t := f.Attribute.SigningTime; t != nil && t.After(f.Time.Add(p.skew())) {
		return one("time", day(*t))
	}
	return nil
}

// algorithms of the signature and of every certificate below the anchor, whose
// own signature proves nothing.
func algorithms(f *view, p *Policy) []outcome {
	var out []outcome
	seen := map[string]bool{}
	tell := func(ok bool, name, until string, level Level) {
		if ok || seen[name] {
			return
		}
		seen[name] = true
		if until == "" {
			until = "-"
		}
		out = append(out, outcome{args: []any{"algorithm", name, "until", until}, level: level})
	}
	digest := func(name string, at time.Time) {
		if name != "" {
			ok, until, level := p.Algorithms.Digest(name, at)
			tell(ok, name, until, level)
		}
	}
	key := func(name string, bits int, at time.Time) {
		if name != "" {
			ok, until, level := p.Algorithms.Key(name, bits, at)
			tell(ok, name+"-"+itoa(bits), until, level)
		}
	}
	digest(f.Value.DigestName, f.Time)
	key(f.Value.KeyName, f.Value.KeyBits, f.Time)
	for i, l := range f.Chain.Links {
		at := f.existed(l.Certificate)
		// The signer's certificate is as old as the signature that names its hash.
		if i == 0 && f.Attribute.SigningCertificate.Match && f.Time.Before(at) {
			at = f.Time
		}
		if i < len(f.Chain.Links)-1 {
			digest(l.DigestName, at)
		}
		key(l.KeyName, l.KeyBits, at)
	}
	return out
}
