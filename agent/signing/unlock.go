package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/citel-pa/citel/agent/consent"
)

// unlock opens the chosen key and enters the PIN, once. The PIN is wiped before
// it returns, whatever happened. From here on the page's patience does not count:
// a request cancelled while a PIN is on its way would leave nobody to say whether
// a try was used.
func unlock(ctx context.Context, chosen candidate, answer *consent.Answer) (_ Key, err error) {
	defer answer.Wipe()
	if !chosen.id.PIN.Pinpad && len(answer.PIN) == 0 {
		return nil, fmt.Errorf("signing: an answer without a PIN: %w", consent.ErrRefused)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTime)
	defer cancel()
	key, err := chosen.source.Open(ctx, chosen.id)
	if err != nil {
		return nil, fmt.Errorf("signing: opening the key: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, key.Close())
		}
	}()
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chosen.id.Certificate.PublicKey) {
		return nil, fmt.Errorf("%w: the key does not belong to the certificate", ErrCardFailed)
	}
	pin := answer.PIN
	if chosen.id.PIN.Pinpad {
		pin = nil
	}
	if err := key.Unlock(ctx, pin); err != nil {
		return nil, fmt.Errorf("signing: entering the PIN: %w", err)
	}
	return key, nil
}

// signFunc signs one digest with one key.
type signFunc func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)

// checked signs with key and looks at what comes back: a helper process or a
// card may answer anything. Only login.go and sign.go pass a digest here, each
// over bytes that it built itself; no digest from outside ever comes this way.
func checked(key Key, id Identity) signFunc {
	return func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signTime)
		defer cancel()
		signature, err := key.Sign(ctx, digest, opts)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		ok := false
		switch pub := id.Certificate.PublicKey.(type) {
		case *rsa.PublicKey:
			if pss, isPSS := opts.(*rsa.PSSOptions); isPSS {
				ok = rsa.VerifyPSS(pub, pss.Hash, digest, signature, pss) == nil
			} else {
				ok = rsa.VerifyPKCS1v15(pub, opts.HashFunc(), digest, signature) == nil
			}
		case *ecdsa.PublicKey:
			ok = ecdsa.VerifyASN1(pub, digest, signature)
		}
		if !ok {
			return nil, fmt.Errorf("%w: a signature that does not hold", ErrCardFailed)
		}
		return signature, nil
	}
}
