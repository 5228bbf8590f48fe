package signing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/declaration"
)

// declarers are those of a login's candidates that log in by declaration, where none logs
// in by token.
func (c *Ceremony) declarers(found []candidate, want Choice) []candidate {
	var out []candidate
	for _, f := range found {
		if f.id.Certificate == nil || !declaration.Fits(f.id.Certificate) {
			continue
		}
		f.unfit = unfit(f.id, consent.PurposeSign, want, c.now())
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return rank(consent.PurposeSign, a, b) })
	return out
}

// declare logs in by a signed declaration. The person is asked as for any signature, with
// the page that is signed as the document: it can be opened and read. We write the page
// ourselves, from the handshake's origin, and mark the signature; Sign never does. It has
// the nonce in it, so more time is not to be had.
func (c *Ceremony) declare(ctx context.Context, req *LoginRequest, found []candidate) (*LoginResult, error) {
	at := c.now().UTC().Truncate(time.Second)
	text := declaration.Text(req.Caller.Origin, req.Nonce, at)
	r := &consent.Request{Purpose: consent.PurposeSign, Caller: req.Caller.Caller, Documents: []consent.Document{{
		Name: declaration.Name, MediaType: declaration.MediaType, Size: int64(len(text)), SHA256: sha256.Sum256(text),
		Open: func() (io.ReadSeekCloser, error) { return page{bytes.NewReader(text)}, nil },
	}}}
	found, err := c.offer(ctx, &req.Caller, r, found, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.ask(ctx, &req.Caller, r, nonceEnd(req.Expires))
	defer answer.Wipe()
	if err != nil {
		return nil, err
	}
	result, err := c.declared(ctx, req, found, &answer, at)
	c.Asker.Outcome(ctx, r, err)
	return result, err
}

func (c *Ceremony) declared(ctx context.Context, req *LoginRequest, found []candidate, answer *consent.Answer, at time.Time) (_ *LoginResult, err error) {
	use, err := chosen(found, answer)
	if err != nil {
		return nil, err
	}
	if !req.Expires.IsZero() && !time.Now().Before(req.Expires) {
		return nil, fmt.Errorf("%w: expired", ErrNonceInvalid)
	}
	req.Caller.notify(StageWorking)
	key, err := unlock(ctx, &use, answer, c.fit(consent.PurposeSign, req.Choice))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	cert := use.id.Certificate
	token, err := declaration.Make(ctx, req.Caller.Origin, req.Nonce, at, cert, cades.SignFunc(checked(key, use.id)))
	if err != nil {
		return nil, fmt.Errorf("signing: the declaration: %w", err)
	}
	return &LoginResult{Token: token, Nonce: req.Nonce, Certificate: cert}, nil
}

// page is the text as the person's window opens it.
type page struct{ *bytes.Reader }

func (page) Close() error { return nil }
