package signing

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/wire"
)

// nonceMargin is kept between a question's end and the end of its nonce: the
// token has to be made and to reach the server.
const nonceMargin = 5 * time.Second

// LoginRequest asks for a login token.
type LoginRequest struct {
	// Caller's Origin is what the token gets bound to: the handshake's, never a
	// page's word.
	Caller Caller
	Nonce  string
	// Expires is when the server forgets the nonce; zero when not known.
	Expires time.Time
	// FreshNonce asks the page for another one; nil when there is no page.
	FreshNonce func(ctx context.Context) (nonce string, expires time.Time, err error)
	Choice     Choice
}

// LoginResult is a token and what it was made of.
type LoginResult struct {
	Token       []byte // JSON
	Nonce       string
	Certificate *x509.Certificate
}

// CheckNonce accepts 32 bytes or more as standard base64 text, not expired.
func CheckNonce(nonce string, expires time.Time, now time.Time) error {
	if len(nonce) < wire.MinNonce || len(nonce) > wire.MaxNonce {
		return fmt.Errorf("%w: %d characters", ErrNonceInvalid, len(nonce))
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(nonce); err != nil {
		return fmt.Errorf("%w: not base64", ErrNonceInvalid)
	}
	if !expires.IsZero() && !now.Add(nonceMargin).Before(expires) {
		return fmt.Errorf("%w: expired", ErrNonceInvalid)
	}
	return nil
}

// Login makes a token (ARCHITECTURE.md, Login, 4 and 5).
func (c *Ceremony) Login(ctx context.Context, req LoginRequest) (*LoginResult, error) {
	if err := CheckNonce(req.Nonce, req.Expires, time.Now()); err != nil {
		return nil, err
	}
	if req.Caller.Origin == "" {
		return nil, errors.New("signing: a login without an origin")
	}
	r := &consent.Request{Purpose: consent.PurposeLogin, Caller: req.Caller.Caller}
	found, err := c.candidates(ctx, &req.Caller, r, req.Choice)
	if err != nil {
		return nil, err
	}

	// The person may ask for more time in one goroutine while the question ends
	// in another.
	var mu sync.Mutex
	nonce, expires := req.Nonce, req.Expires
	r.Extend = func(ctx context.Context) (time.Time, error) {
		if req.FreshNonce == nil {
			return c.moreTime(ctx)
		}
		n, e, err := req.FreshNonce(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("signing: a fresh nonce: %w", err)
		}
		if err := CheckNonce(n, e, time.Now()); err != nil {
			return time.Time{}, err
		}
		mu.Lock()
		defer mu.Unlock()
		nonce, expires = n, e
		deadline, _ := c.moreTime(ctx)
		if end := nonceEnd(e); !end.IsZero() && end.Before(deadline) {
			deadline = end
		}
		return deadline, nil
	}
	asked := c.now()
	answer, err := c.ask(ctx, &req.Caller, r, nonceEnd(expires))
	defer answer.Wipe()
	if err != nil {
		c.used(asked, r, nil, err)
		return nil, err
	}
	mu.Lock()
	last, lastExpires := nonce, expires
	mu.Unlock()
	result, use, err := c.login(ctx, &req, found, &answer, last, lastExpires)
	if result != nil {
		digest := sha256.Sum256(result.Token)
		c.used(asked, r, use, err, digest[:])
	} else {
		c.used(asked, r, use, err)
	}
	c.Asker.Outcome(ctx, r, err)
	return result, err
}

func nonceEnd(expires time.Time) time.Time {
	if expires.IsZero() {
		return expires
	}
	return expires.Add(-nonceMargin)
}

func (c *Ceremony) login(ctx context.Context, req *LoginRequest, found []candidate, answer *consent.Answer, nonce string, expires time.Time) (_ *LoginResult, _ *candidate, err error) {
	use, err := chosen(found, answer)
	if err != nil {
		return nil, nil, err
	}
	if !expires.IsZero() && !time.Now().Before(expires) {
		return nil, &use, fmt.Errorf("%w: expired", ErrNonceInvalid)
	}
	req.Caller.notify(StageWorking)
	key, err := unlock(ctx, &use, answer, c.fit(consent.PurposeLogin, req.Choice))
	if err != nil {
		return nil, &use, err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	cert := use.id.Certificate
	token, err := makeToken(ctx, req.Caller.Origin, nonce, cert, checked(key, use.id))
	if err != nil {
		return nil, &use, fmt.Errorf("signing: the login token: %w", err)
	}
	return &LoginResult{Token: token, Nonce: nonce, Certificate: cert}, &use, nil
}
