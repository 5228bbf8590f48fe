package validation

import (
	"bytes"
	_ "embed" // the default policy
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Level says what a failed check means, as in the EU's DSS.
type Level string

// The levels.
const (
	Fail   Level = "FAIL"   // the verdict is no longer TOTAL-PASSED
	Warn   Level = "WARN"   // told, the verdict stays
	Inform Level = "INFORM" // told to the auditor
	Ignore Level = "IGNORE" // not looked at
)

// Policy is what is asked of a signature. It is data: the same facts can be
// judged again under another policy.
type Policy struct {
	Name string `json:"name"`
	// Checks overrides the default level of checks by id.
	Checks map[string]Level `json:"checks"`
	// ClockSkewSeconds is how far clocks may differ.
	ClockSkewSeconds int `json:"clockSkewSeconds"`
	// RevocationKeepHours: a good answer of at most this age counts although its next
	// update is due, for when a responder is out of reach. 0: none does.
	RevocationKeepHours int `json:"revocationKeepHours,omitempty"`
	// ListKeepDays: a trusted list counts this long after its next update is due, for
	// when a newer one cannot be had. 0: however old it is, with a warning.
	ListKeepDays int `json:"listKeepDays,omitempty"`
	// Proofs are the kinds of ProofFacts that count as proofs of existence beside
	// time-stamps ("register": DPCM 22/2/2013, art. 41).
	Proofs []string `json:"proofs,omitempty"`
	// SignaturePolicies are the signature policies that are known: OID -> the digest
	// in hexadecimal that signers must give, "" for any.
	SignaturePolicies map[string]string `json:"signaturePolicies,omitempty"`

	Algorithms Algorithms `json:"algorithms"`
}

// Algorithms says until when algorithms are good (ETSI TS 119 312).
type Algorithms struct {
	Source string `json:"source"`
	// Updated is the date of the table. A date in it that lies after this one is a
	// forecast, so it has the level LevelAfterUpdate.
	Updated          string `json:"updated"`
	LevelAfterUpdate Level  `json:"levelAfterUpdate"`
	// Digests: name -> last day, "" for no end. What is not listed is not good.
	Digests map[string]string `json:"digests"`
	Keys    []KeyRule         `json:"keys"`
}

// KeyRule says that keys of at least Bits are good until the day Until ("" for no end).
// Of several rules the one with the most bits that fits counts.
type KeyRule struct {
	Name  string `json:"name"`
	Bits  int    `json:"bits"`
	Until string `json:"until"`
}

//go:embed policy.json
var defaultPolicy []byte

// Default is the policy of the commands: what EN 319 102-1 asks, with the default
// levels of the table in checks.go.
func Default() *Policy {
	p, err := ParsePolicy(defaultPolicy)
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	return p
}

// Strict is the policy of the server for what citizens send: CAdES and nothing
// less, and a certificate whose revocation nobody can know is not good.
func Strict() *Policy {
	p := Default()
	p.Name += "-strict"
	p.ListKeepDays = 14
	p.Checks = map[string]Level{CheckESSPresent: Fail, CheckRevocationNoSource: Fail, CheckKnownProfile: Fail, CheckDigestInfoNull: Fail}
	return p
}

// ErrPolicy means that the text is not a policy.
var ErrPolicy = errors.New("validation: not a usable policy")

// ParsePolicy reads a policy in JSON. Unknown fields, checks and levels are
// errors: a slip must not weaken a rule silently.
func ParsePolicy(data []byte) (*Policy, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	p := &Policy{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	for _, id := range slices.Sorted(maps.Keys(p.Checks)) {
		if !slices.ContainsFunc(Table(), func(c Check) bool { return c.ID == id }) {
			return nil, fmt.Errorf("%w: no check is called %q", ErrPolicy, id)
		}
		if !p.Checks[id].valid() {
			return nil, fmt.Errorf("%w: %q has the level %q; FAIL, WARN, INFORM and IGNORE are possible", ErrPolicy, id, p.Checks[id])
		}
	}
	a := p.Algorithms
	if !a.LevelAfterUpdate.valid() || len(a.Digests) == 0 || len(a.Keys) == 0 {
		return nil, fmt.Errorf("%w: its algorithms are not complete", ErrPolicy)
	}
	for _, day := range append(slices.Collect(maps.Values(a.Digests)), a.Updated) {
		if _, ok := parseDay(day); !ok {
			return nil, fmt.Errorf("%w: %q is not a day like 2029-01-01", ErrPolicy, day)
		}
	}
	for _, k := range a.Keys {
		if _, ok := parseDay(k.Until); !ok {
			return nil, fmt.Errorf("%w: %q is not a day like 2029-01-01", ErrPolicy, k.Until)
		}
	}
	return p, nil
}

func (l Level) valid() bool { return slices.Contains([]Level{Fail, Warn, Inform, Ignore}, l) }

// parseDay: "" is a day that never comes.
func parseDay(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil
}

func (p *Policy) skew() time.Duration { return time.Duration(p.ClockSkewSeconds) * time.Second }

func (p *Policy) level(c Check) Level {
	if l, ok := p.Checks[c.ID]; ok {
		return l
	}
	return c.Level
}

// Digest tells whether a digest is good at a time, and at which level it is told.
func (a *Algorithms) Digest(name string, at time.Time) (ok bool, until string, level Level) {
	day, listed := a.Digests[name]
	if !listed {
		return false, "", Fail
	}
	return a.until(day, at)
}

// Key is Digest for a key of some size ("RSA", "RSA-PSS", "ECDSA").
func (a *Algorithms) Key(name string, bits int, at time.Time) (ok bool, until string, level Level) {
	best := KeyRule{Bits: -1}
	for _, k := range a.Keys {
		if k.Name == name && bits >= k.Bits && k.Bits > best.Bits {
			best = k
		}
	}
	if best.Bits < 0 {
		return false, "", Fail
	}
	return a.until(best.Until, at)
}

func (a *Algorithms) until(day string, at time.Time) (bool, string, Level) {
	t, _ := parseDay(day)
	if day == "" || at.Before(t) {
		return true, day, Ignore
	}
	if updated, _ := parseDay(a.Updated); t.After(updated) {
		return false, day, a.LevelAfterUpdate
	}
	return false, day, Fail
}
