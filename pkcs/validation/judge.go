package validation

import (
	"fmt"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
)

// Indication is the main verdict (ETSI EN 319 102-1, 5.1.3).
type Indication string

// The indications.
const (
	TotalPassed   Indication = "TOTAL-PASSED"
	TotalFailed   Indication = "TOTAL-FAILED"
	Indeterminate Indication = "INDETERMINATE"
)

// SubIndication says why (ETSI EN 319 102-1, 5.1.3, table 5 and 6).
type SubIndication string

// The sub-indications.
const (
	FormatFailure             SubIndication = "FORMAT_FAILURE"
	HashFailure               SubIndication = "HASH_FAILURE"
	SigCryptoFailure          SubIndication = "SIG_CRYPTO_FAILURE"
	NotYetValid               SubIndication = "NOT_YET_VALID"
	SigConstraintsFailure     SubIndication = "SIG_CONSTRAINTS_FAILURE"
	ChainConstraintsFailure   SubIndication = "CHAIN_CONSTRAINTS_FAILURE"
	CertificateChainGeneral   SubIndication = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
	CryptoConstraintsFailure  SubIndication = "CRYPTO_CONSTRAINTS_FAILURE"
	CryptoConstraintsNoPOE    SubIndication = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
	NoSigningCertificateFound SubIndication = "NO_SIGNING_CERTIFICATE_FOUND"
	NoCertificateChainFound   SubIndication = "NO_CERTIFICATE_CHAIN_FOUND"
	RevokedNoPOE              SubIndication = "REVOKED_NO_POE"
	RevokedCANoPOE            SubIndication = "REVOKED_CA_NO_POE"
	OutOfBoundsNotRevoked     SubIndication = "OUT_OF_BOUNDS_NOT_REVOKED"
	OutOfBoundsNoPOE          SubIndication = "OUT_OF_BOUNDS_NO_POE"
	TryLater                  SubIndication = "TRY_LATER"
	SignedDataNotFound        SubIndication = "SIGNED_DATA_NOT_FOUND"

	Revoked                     SubIndication = "REVOKED"
	Expired                     SubIndication = "EXPIRED"
	SignaturePolicyNotAvailable SubIndication = "SIGNATURE_POLICY_NOT_AVAILABLE"
	PolicyProcessingError       SubIndication = "POLICY_PROCESSING_ERROR"
	TimestampOrderFailure       SubIndication = "TIMESTAMP_ORDER_FAILURE"
	NoChainFoundNoPOE           SubIndication = "NO_CERTIFICATE_CHAIN_FOUND_NO_POE"
	RevocationOutOfBounds       SubIndication = "REVOCATION_OUT_OF_BOUNDS_NO_POE"
	NoPOE                       SubIndication = "NO_POE"
	sameAsCheck                 SubIndication = ""
)

// Finding is one thing that a check has to tell.
type Finding struct {
	Check  string
	Clause string
	Level  Level
	Sub    SubIndication
	failed bool // TOTAL-FAILED rather than INDETERMINATE
	args   []any
}

// Text is the finding's sentence for people.
func (f Finding) Text(lang message.Lang) string {
	args := slices.Clone(f.args)
	for i, a := range args {
		if s, ok := a.(said); ok {
			args[i] = s.in(lang)
		}
	}
	return message.Text(lang, "validation."+f.Check, args...)
}

// Result is the verdict on one signature.
type Result struct {
	Facts         *Facts
	Policy        string
	Indication    Indication
	SubIndication SubIndication
	Findings      []Finding
	// BestSignatureTime is the earliest time at which the signature is proved to have
	// existed; Facts.Time without a proof.
	BestSignatureTime time.Time
	// Timestamps are judged each, in the order of Facts.Timestamps.
	Timestamps []TimestampResult
	// Counter are the results of the counter-signatures.
	Counter []*Result
}

// Judge applies a policy to facts. It reads nothing else: the same facts and
// policy always give the same result.
//
// The signature is judged at Facts.Time (5.3). Where only the time stands against it,
// it is judged again at the time of its earliest proof of existence (5.5, 5.6).
//
// Every check is made, also after one failed, so that the report is whole. What
// decides is the first failure that proves the signature wrong (TOTAL-FAILED),
// else the first one that leaves it open. EN 319 102-1 stops at the first block
// that does not pass; a broken signature below an unknown issuer is called broken
// here. No order of ours can turn a failure into TOTAL-PASSED.
func Judge(f *Facts, p *Policy) *Result {
	r := &Result{Facts: f, Policy: p.Name, BestSignatureTime: f.Time}
	if f.Unread {
		r.Findings, r.Indication, r.SubIndication = conclude(f.at(f.Time, nil).run(table[:1], p))
		if r.Indication == TotalPassed {
			r.Indication = Indeterminate // a policy can be silent about it, but not make it good
		}
		return r
	}
	known := existence{}
	for _, proof := range f.Proofs {
		if slices.Contains(p.Proofs, proof.Kind) && proof.Time.Before(f.Time) {
			known.add(f.ID, proof.Time)
		}
	}
	r.Timestamps = judgeTimestamps(f, p, known)
	v := f.at(f.Time, known)
	r.Findings, r.Indication, r.SubIndication = conclude(append(v.run(table, p), v.run(stampTable, p)...))
	r.BestSignatureTime = known.of(f.ID, f.Time)
	r.slide(f, p, known)
	r.compareContentStamps(p)
	for _, c := range f.Counter {
		r.Counter = append(r.Counter, Judge(c, p))
	}
	return r
}

// run makes the checks of a table.
func (f *view) run(checks []Check, p *Policy) (out []Finding) {
	for _, c := range checks {
		out = append(out, c.findings(f, p)...)
	}
	return out
}

// conclude finds what decides.
func conclude(findings []Finding) ([]Finding, Indication, SubIndication) {
	indication, sub := TotalPassed, sameAsCheck
	for _, x := range findings {
		if x.Level != Fail {
			continue
		}
		if x.failed {
			return findings, TotalFailed, x.Sub
		}
		if indication == TotalPassed {
			indication, sub = Indeterminate, x.Sub
		}
	}
	return findings, indication, sub
}

// findings makes one check under a policy.
func (c Check) findings(f *view, p *Policy) []Finding {
	level := p.level(c)
	if level == Ignore {
		return nil
	}
	var out []Finding
	for _, o := range c.run(f, p) {
		x := Finding{Check: c.ID, Clause: c.Clause, Level: level, Sub: c.Sub, failed: c.Failed || o.failed, args: o.args}
		// A check may soften its own FAIL; a policy's word stands over both.
		if o.level != "" && level == Fail {
			x.Level = o.level
		}
		if o.sub != sameAsCheck {
			x.Sub = o.sub
		}
		if x.Level != Ignore {
			out = append(out, x)
		}
	}
	return out
}

// Passed tells whether the verdict is TOTAL-PASSED.
func (r *Result) Passed() bool { return r.Indication == TotalPassed }

// Has tells whether a check had something to tell.
func (r *Result) Has(check string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == check })
}

// day writes a time for a sentence.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func hexOf(b []byte) string { return fmt.Sprintf("%x", b) }

// JudgeCertificate makes the checks that speak of a certificate, its path and its
// revocation alone, for where there is no signed document (pkcs/authtoken).
func JudgeCertificate(f *Facts, p *Policy) []Finding {
	var out []Finding
	for _, c := range table {
		if slices.Contains(certificateChecks, c.ID) {
			out = append(out, c.findings(f.at(f.Time, nil), p)...)
		}
	}
	return out
}

var certificateChecks = []string{"chain-found", "anchor-period", "anchor-list-age", "chain-rules", "validity", "issuer-validity", CheckRevoked, "revocation-issuer-validity", CheckRevocationKnown, CheckRevocationVouched, CheckRevocationNoSource, CheckAlgorithms}
