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

// The sub-indications in use here.
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
	sameAsCheck               SubIndication = ""
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
	return message.Text(lang, "validation."+f.Check, f.args...)
}

// Result is the verdict on one signature.
type Result struct {
	Facts         *Facts
	Policy        string
	Indication    Indication
	SubIndication SubIndication
	Findings      []Finding
}

// Judge applies a policy to facts. It reads nothing else: the same facts and
// policy always give the same result.
//
// Every check is made, also after one failed, so that the report is whole. What
// decides is the first failure that proves the signature wrong (TOTAL-FAILED),
// else the first one that leaves it open. EN 319 102-1 stops at the first block
// that does not pass; a broken signature below an unknown issuer is called broken
// here. No order of ours can turn a failure into TOTAL-PASSED.
func Judge(f *Facts, p *Policy) *Result {
	r := &Result{Facts: f, Policy: p.Name, Indication: TotalPassed}
	for _, c := range table {
		r.Findings = append(r.Findings, c.findings(f, p)...)
	}
	for _, finding := range r.Findings {
		if finding.Level != Fail {
			continue
		}
		if finding.failed {
			r.Indication, r.SubIndication = TotalFailed, finding.Sub
			break
		}
		if r.Indication == TotalPassed {
			r.Indication, r.SubIndication = Indeterminate, finding.Sub
		}
	}
	return r
}

// findings makes one check under a policy.
func (c Check) findings(f *Facts, p *Policy) []Finding {
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

// Kind says what sort of signature it is, as far as certificate and anchor tell:
// qualified, advanced-cie, advanced-cns, advanced, seal, other.
func (r *Result) Kind() string {
	id := r.Facts.Identity
	switch {
	case !r.Facts.Chain.Found:
		return "other"
	case id.Seal:
		return "seal"
	case id.Profile == "cie":
		return "advanced-cie"
	case id.Profile == "cns":
		return "advanced-cns"
	case id.Profile == "qualified" && id.QSCD:
		return "qualified"
	case id.Profile == "qualified":
		return "advanced"
	}
	return "other"
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
			out = append(out, c.findings(f, p)...)
		}
	}
	return out
}

var certificateChecks = []string{"chain-found", "chain-rules", "validity", "issuer-validity", CheckRevoked, CheckRevocationKnown, CheckRevocationNoSource, CheckAlgorithms}
