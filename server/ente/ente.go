// Package ente is a municipality (or another body) that the server serves.
package ente

import (
	"fmt"
	"regexp"

	"github.com/citel-pa/citel/pkcs/authtoken"
)

// Ente is one body. Data, applications and log belong to one ente.
type Ente struct {
	Code string // short, stable, lower case
	Name string // for people
	// Origin is where its pages are, as a browser writes it. Tokens and nonces are
	// bound to it; it is configuration, never a request's header.
	Origin string
}

var code = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// Check tells whether the configuration is usable. http on loopback is for the
// demo.
func (e Ente) Check(demo bool) error {
	if !code.MatchString(e.Code) {
		return fmt.Errorf("ente: the code %q is not made of a-z, 0-9 and -", e.Code)
	}
	if e.Name == "" || len(e.Name) > 100 {
		return fmt.Errorf("ente: %s: the name is empty or too long", e.Code)
	}
	_, err := authtoken.ParseOrigin(e.Origin, demo)
	return err
}
