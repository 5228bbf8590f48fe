// Package submission is the way of an application: from a draft with its document,
// through the signatures that come back, to a number, a receipt and the office's answer
// (ARCHITECTURE.md, Application).
package submission

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
)

// MaxSigned bounds a signed file in bytes: the PDF is ours and small.
const MaxSigned = 4 << 20

// maxDrafts bounds the open drafts of a person.
const maxDrafts = 50

// Errors of this room. Each has a sentence, "submission.<code>" (Code).
var (
	ErrNotFound     = errors.New("submission: not found")
	ErrTooMany      = errors.New("submission: too many drafts")
	ErrTooLarge     = errors.New("submission: file too large")
	ErrNotSigned    = errors.New("submission: no signature in the file")
	ErrOtherContent = errors.New("submission: the signed document is not the one that was served")
	ErrOtherSigner  = errors.New("submission: signed by somebody else")
	// ErrInvalid: a signature is not TOTAL-PASSED.
	ErrInvalid = errors.New("submission: a signature is not valid")
)

// Code is the stable name of an error of this package, "internal" for others.
func Code(err error) string {
	for _, c := range []struct {
		err  error
		code string
	}{
		{ErrNotFound, "not-found"}, {ErrTooMany, "too-many"}, {ErrTooLarge, "too-large"}, {ErrNotSigned, "not-signed"},
		{ErrOtherContent, "other-content"}, {ErrOtherSigner, "other-signer"}, {ErrInvalid, "invalid"},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return "internal"
}

// InvalidError carries the report of a signature that did not pass.
type InvalidError struct{ Report *validation.Report }

// Error names the first verdict.
func (e *InvalidError) Error() string {
	for _, s := range e.Report.Signatures {
		if s.Indication != validation.TotalPassed {
			return fmt.Sprintf("%v: %s %s", ErrInvalid, s.Indication, s.SubIndication)
		}
	}
	return ErrInvalid.Error()
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// judgement is what results come to.
type judgement struct {
	signers       []string
	test, toCheck bool
}

// judge: every signature is good, over the document of that hash, and by one of those who
// may sign it.
func judge(hash []byte, may []string, content []byte, results []*validation.Result, lang message.Lang) (j judgement, err error) {
	sum := sha256.Sum256(content)
	for _, r := range results {
		if r.Indication == validation.TotalFailed {
			return j, &InvalidError{Report: validation.NewReport(results, lang)}
		}
	}
	if subtle.ConstantTimeCompare(sum[:], hash) != 1 {
		return j, ErrOtherContent
	}
	for _, r := range results {
		f := r.Facts
		if !r.Passed() && !onlyRevocationUnknown(r) {
			return j, &InvalidError{Report: validation.NewReport(results, lang)}
		}
		// The facts' own hash: what the signature is over, not what was extracted.
		if subtle.ConstantTimeCompare(f.Content.SHA256, hash) != 1 || f.Content.Detached || f.Attribute.Declaration {
			return j, ErrOtherContent
		}
		cf := f.Identity.CodiceFiscale
		if cf == "" || !slices.Contains(may, cf) {
			return j, ErrOtherSigner
		}
		if !slices.Contains(j.signers, cf) {
			j.signers = append(j.signers, cf)
		}
		j.test = j.test || f.Chain.Anchor.Test
		j.toCheck = j.toCheck || !r.Passed()
	}
	return j, nil
}

// onlyRevocationUnknown: all that stands against the signature is that nobody could be
// asked about a certificate that names who can be. A responder that is down must not
// cost a citizen the day of an application.
func onlyRevocationUnknown(r *validation.Result) bool {
	unknown := false
	for _, x := range r.Findings {
		if x.Level != validation.Fail {
			continue
		}
		if x.Check != validation.CheckRevocationKnown && x.Check != validation.CheckRevocationIssuer {
			return false
		}
		unknown = true
	}
	return unknown
}

// What is signed and kept is in Italian, whatever language the page has.
func text(key string, args ...any) string { return message.Text(message.Italian, key, args...) }

// documentID turns an identifier of ours into a PDF's.
func documentID(id string) (out [16]byte) {
	b, _ := hex.DecodeString(id)
	copy(out[:], b)
	return out
}
