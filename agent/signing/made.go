package signing

import (
	"context"
	"crypto/x509"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/version"
)

// appVersion is the token's informative field: an address that names program and
// version, as Web eID's own application has it.
const appVersion = "https://github.com/citel-pa/citel/releases/"

func makeToken(ctx context.Context, origin, nonce string, cert *x509.Certificate, sign signFunc) ([]byte, error) {
	return authtoken.Make(ctx, authtoken.Request{
		Origin: origin, Nonce: nonce, Certificate: cert, AppVersion: appVersion + version.Version,
	}, authtoken.SignFunc(sign))
}
