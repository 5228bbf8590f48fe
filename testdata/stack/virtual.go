package stack

import (
	"crypto/rsa"
	"errors"

	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/testdata/pki"
)

// VirtualPUK is the PUK of every virtual card of the tests.
const VirtualPUK = "12345678"

// VirtualCNS issues a certificate and puts it on a virtual card of the first
// family (RSA-2048).
func (s *Stack) VirtualCNS(who pki.Person, pin string) (*virtual.CNS, error) {
	id, err := s.PKI.Issue(pki.CNS, pki.RSA2048, who)
	if err != nil {
		return nil, err
	}
	key, ok := id.Key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("stack: a CNS has an RSA key")
	}
	return virtual.NewCNS(virtual.CNSOptions{Certificate: id.Cert.Raw, Key: key, ID: who.CardID, PIN: pin, PUK: VirtualPUK,
		Personal: [16]string{"6090", "01012024", "01012030", who.Surname, who.Given, who.Born.Format("02012006"), who.Sex, "", who.CF}})
}

// VirtualService is the service number of the tests' virtual CIE.
const VirtualService = "123456789012"

// VirtualCIE issues a certificate and puts it on a virtual CIE of the first family.
// The PIN has 8 digits.
func (s *Stack) VirtualCIE(who pki.Person, pin string) (*virtual.CIE, error) {
	id, err := s.PKI.Issue(pki.CIE, pki.RSA2048, who)
	if err != nil {
		return nil, err
	}
	key, ok := id.Key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("stack: a CIE has an RSA key")
	}
	ds, err := virtual.NewDocumentSigner()
	if err != nil {
		return nil, err
	}
	return virtual.NewCIE(virtual.CIEOptions{Certificate: id.Cert.Raw, Key: key, ServiceID: VirtualService, Serial: "CA00000AA", PIN: pin, PUK: VirtualPUK,
		RoleExponent: cie.RoleExponent(), SignerCertificate: ds.Certificate.Raw, Signer: ds.Key})
}
