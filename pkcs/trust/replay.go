package trust

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"

	"github.com/citel-pa/citel/pkcs/validation"
)

// Evidence is a list or a response that the store or the network had to say about a
// certificate, or why there was none. What came with the signed file is not among it.
type Evidence struct {
	Kind   string `json:"kind"`   // "crl" or "ocsp"
	Source string `json:"source"` // the store's name for it, or the address
	// Asked is set for what an address answered.
	Asked bool `json:"asked,omitempty"`
	// About names the question to a responder, in hexadecimal.
	About string `json:"about,omitempty"`
	// Problem is why nothing came, or why it does not count; DER is nil then.
	Problem string `json:"problem,omitempty"`
	DER     []byte `json:"-"`
}

func (q *Question) sawList(l *CRL, points *points, source string, asked bool, err error) {
	if q.Seen == nil || l != nil && !l.speaksOf(points) {
		return
	}
	e := Evidence{Kind: "crl", Source: source, Asked: asked}
	if err != nil {
		e.Problem = err.Error()
	} else if e.DER = l.der; e.DER == nil {
		e.Problem = "the list is too long to be kept as it came"
	}
	q.Seen(e)
}

// sawResponse tells of the responder's answer. One that did not answer this request
// (its nonce) is kept as its reason alone: without the request nobody can see that again.
func (r *Revocation) sawResponse(q Question, f *validation.RevocationFacts) {
	if q.Seen == nil {
		return
	}
	key := responderKey(q)
	e := Evidence{Kind: "ocsp", Source: f.Source, Asked: true, About: hex.EncodeToString([]byte(key))}
	r.mu.Lock()
	have := r.responses[key]
	r.mu.Unlock()
	if have != nil && have.err == nil && f.Object != "" {
		if again, _ := r.response(have.der, f.Source, q, nil); again != nil && again.Note == f.Note && again.Object == f.Object {
			e.DER = have.der
		}
	}
	if e.DER == nil {
		e.Problem = f.Note
	}
	q.Seen(e)
}

// Replay makes a Revocation that knows what evidence says and asks nobody, as it was at
// a time. Signatures are checked as always: evidence is believed no more than a
// stranger's file.
func Replay(s *Store, evidence []Evidence, at time.Time) (*Revocation, error) {
	r := &Revocation{Store: s, Now: func() time.Time { return at }, responses: map[string]*answered{}}
	from := recorded{}
	for _, e := range evidence {
		if e.Asked {
			r.Fetch = from // nothing asked: it was offline, or had no need to
		}
		var problem error
		if e.DER == nil {
			problem = errors.New(e.Problem)
		}
		switch {
		case e.Kind == "crl" && e.Asked:
			from[e.Source] = answered{told: told{der: e.DER, err: problem}}
		case e.Kind == "crl":
			l, err := ParseCRL(e.DER, e.Source)
			if err != nil {
				return nil, err
			}
			s.mu.Lock()
			s.crls = append(s.crls, l)
			s.mu.Unlock()
		case e.Kind == "ocsp":
			key, err := hex.DecodeString(e.About)
			if err != nil {
				return nil, ErrEvidence
			}
			r.responses[string(key)] = &answered{told: told{der: e.DER, err: problem}, until: at.AddDate(100, 0, 0)}
		default:
			return nil, ErrEvidence
		}
	}
	return r, nil
}

// ErrEvidence means evidence that cannot be used.
var ErrEvidence = errors.New("trust: evidence of no known kind")

// ErrNotRecorded means that nobody was asked at this address.
var ErrNotRecorded = errors.New("trust: the evidence has no answer of this address")

// recorded is a Source that gives what was got before.
type recorded map[string]answered

// Get gives the recorded list.
func (r recorded) Get(_ context.Context, address string, _ int64) ([]byte, error) {
	if a, ok := r[address]; ok {
		return a.der, a.err
	}
	return nil, ErrNotRecorded
}

// Post gives nothing: responses are found by their question.
func (r recorded) Post(context.Context, string, string, []byte, int64) ([]byte, error) {
	return nil, ErrNotRecorded
}

// AddAnchors takes certificates as anchors with the profiles that they are listed for.
// Test material needs AllowTest.
func (s *Store) AddAnchors(anchors []*Anchor) error {
	for _, a := range anchors {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
		if _, err := s.AddPEM(text, a.Source, a.Profiles...); err != nil {
			return err
		}
	}
	return nil
}
