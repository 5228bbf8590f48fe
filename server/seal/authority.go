package seal

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// Authority is a time-stamping authority whose tokens are judged before a document keeps
// them: a receipt with a token that nobody can follow to somebody known would be found out
// only in court.
type Authority struct {
	Client *timestamp.Client
	// Trust are the anchors that the authority's certificate is to lead to.
	Trust      *trust.Store
	Revocation *trust.Revocation // nil asks the store's lists only
}

// ErrAuthority means that the token is not one of an authority that is trusted.
var ErrAuthority = errors.New("seal: the time-stamp is not usable")

// Stamp is a cades.StampFunc.
func (a *Authority) Stamp(ctx context.Context, digest []byte, h crypto.Hash) ([]byte, error) {
	token, err := a.Client.Stamp(ctx, digest, h)
	if err != nil {
		return nil, err
	}
	t := cades.ReadTimestamp(ctx, token, "signature", func(x crypto.Hash) []byte {
		if x != h {
			return nil
		}
		return digest
	})
	if t.Token == nil {
		return nil, fmt.Errorf("%w: %s", ErrAuthority, t.Note)
	}
	verify.Complete(ctx, t.Token, verify.Options{Store: a.Trust, Revocation: a.Revocation})
	if !t.Token.Chain.Found {
		return nil, fmt.Errorf("%w: its signer leads to no trusted authority (--tsa-trust)", ErrAuthority)
	}
	// Whether its certificate was revoked may be unknown today; verifiers ask again.
	if r := validation.JudgeTimestamp(&t, time.Now(), validation.Default()); r.Indication == validation.TotalFailed {
		return nil, fmt.Errorf("%w: %s", ErrAuthority, r.SubIndication)
	}
	return token, nil
}
