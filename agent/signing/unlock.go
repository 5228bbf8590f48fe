package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/citel-pa/citel/agent/consent"
)

// unlock opens the chosen key and enters the PIN, once. A certificate that is read
// only then is judged as the others were before the question. The PIN is wiped before
// it returns, whatever happened. From here on the page's patience does not count:
// a request cancelled while a PIN is on its way would leave nobody to say whether
// a try was used.
func unlock(ctx context.Context, chosen *candidate, answer *consent.Answer, fit func(Identity) string) (_ Key, err error) {
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
	if chosen.id.Certificate != nil && !belongs(key, chosen.id.Certificate) {
		return nil, errNotItsKey
	}
	pin := answer.PIN
	if chosen.id.PIN.Pinpad {
		pin = nil
	}
	if err := key.Unlock(ctx, pin); err != nil {
		return nil, fmt.Errorf("signing: entering the PIN: %w", err)
	}
	if chosen.id.Certificate == nil {
		if err := reveal(ctx, key, chosen, fit); err != nil {
			return nil, err
		}
	}
	return key, nil
}

var errNotItsKey = fmt.Errorf("%w: the key does not belong to the certificate", ErrCardFailed)

func belongs(key Key, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// reveal reads the certificate of an unlocked card and judges it.
func reveal(ctx context.Context, key Key, chosen *candidate, fit func(Identity) string) error {
	r, ok := key.(Revealer)
	if !ok {
		return fmt.Errorf("%w: no certificate", ErrCardFailed)
	}
	cert, err := r.Certificate(ctx)
	if err != nil {
		return fmt.Errorf("signing: reading the certificate: %w", err)
	}
	if !belongs(key, cert) {
		return errNotItsKey
	}
	chosen.id.Certificate = cert
	if why := fit(chosen.id); why != "" {
		return fmt.Errorf("%w: %s", ErrCertificateUnfit, why)
	}
	return nil
}

// signFunc signs one digest with one key.
type signFunc func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)

// checked signs with key and looks at what comes back: a helper process or a
// card may answer anything. login.go and sign.go pass digests of bytes that they built
// themselves; hash.go passes one from outside, for keys that cannot log in.
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
