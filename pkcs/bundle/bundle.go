// Package bundle is the evidence of a verification in one file: a ZIP archive with the
// signed file, what was known of certificates and revocation, the policy, the report,
// and the commands to check all of it by hand with openssl. Read reads it as a
// stranger's file, and Judge verifies the signature again from what is in it, offline.
//
// The saved facts in it are compared with what is found again, never believed. What a
// bundle cannot prove is its own choice of authorities, policy and time: Judgement says
// what they are, and the caller can bring authorities of its own.
package bundle

import (
	"errors"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
)

// Format names this form of bundles.
const Format = "citel-bundle-1"

// Errors of Read and Judge.
var (
	// ErrNotBundle means a file that is no evidence bundle at all.
	ErrNotBundle = errors.New("bundle: not an evidence bundle")
	// ErrMalformed means a bundle that breaks the rules of its form or its limits.
	ErrMalformed = errors.New("bundle: malformed")
	// ErrLeftOut means that the document is not in the bundle and was not given.
	ErrLeftOut = errors.New("bundle: the document is not in it")
)

// Limits of what is read.
const (
	maxDirectory = 8 << 20 // of the archive's own tables
	maxEntries   = 4096
	maxNameLen   = 100
	maxIndex     = 4 << 20
	maxFacts     = 256 << 20
	maxPiece     = trust.MaxCRL
	maxPieces    = 512 << 20 // of all entries but the signed file and its content
	maxDocument  = 16 << 30  // of the signed file or its content
	// maxRatio is how far an entry of more than ratioFrom bytes may grow: what a bundle
	// holds does not compress like a bomb.
	maxRatio  = 200
	ratioFrom = 1 << 20
)

// Names of entries.
const (
	indexName  = "index.json"
	factsName  = "facts.json"
	policyName = "policy.json"
	reportName = "report.json"
	htmlName   = "report.html"
	readmeName = "LEGGIMI.txt"
	sumsName   = "SHA256SUMS"
)

// index is index.json.
type index struct {
	Format   string `json:"format"`
	Program  string `json:"program"`
	Language string `json:"language"`
	// Time of the validation; Clock is when it was made.
	Time  time.Time `json:"time"`
	Clock time.Time `json:"clock"`

	Signed  document  `json:"signed"`
	Content *document `json:"content,omitempty"`

	Anchors  []anchor   `json:"anchors"`
	Evidence []evidence `json:"evidence"`
	Entries  []entry    `json:"entries"`
}

// document is the signed file or its content; Entry is empty when it was left out.
type document struct {
	Name   string `json:"name"` // as it was called
	Entry  string `json:"entry,omitempty"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

type anchor struct {
	Entry    string   `json:"entry"`
	Profiles []string `json:"profiles"`
	Source   string   `json:"source,omitempty"`
}

type evidence struct {
	trust.Evidence
	Entry string `json:"entry,omitempty"`
}

type entry struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}
