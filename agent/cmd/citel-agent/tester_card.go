//go:build tester

package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// virtualCard are the flags of virtual-card.
type virtualCard struct {
	kind, vpcd, family, cert, key, pin, puk, number, csca string
	pss, openCertificate                                  bool
	delay                                                 virtual.Faults
}

func virtualCardCommand() *cobra.Command {
	v := &virtualCard{}
	cmd := &cobra.Command{
		Use:   "virtual-card --kind cns|cie --cert CERT.pem --key KEY.pem",
		Short: "TESTER: play a card in the virtual reader (vpcd) of this machine's pcscd",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return v.run(cmd) },
	}
	var names []string
	for _, f := range append(virtual.Families, virtual.CIEFamilies...) {
		names = append(names, f.Name)
	}
	f := cmd.Flags()
	f.StringVar(&v.kind, "kind", "cns", "the card's kind: cns, cie")
	f.StringVar(&v.vpcd, "vpcd", "127.0.0.1:35963", "where the virtual reader waits")
	f.StringVar(&v.family, "family", "", "the maker's card: "+strings.Join(names, ", "))
	f.StringVar(&v.cert, "cert", "", "certificate, PEM")
	f.StringVar(&v.key, "key", "", "its RSA key, PKCS#8 PEM")
	f.StringVar(&v.pin, "set-pin", "", "the card's PIN, 5 to 8 digits, for a CIE 8 (a test card's: it is no secret); 24680 or 12345678 where none is given")
	f.StringVar(&v.puk, "set-puk", "87654321", "the card's PUK")
	f.StringVar(&v.number, "number", "123456789012", "CIE: the service number, 12 digits")
	f.StringVar(&v.csca, "csca-out", "", "CIE: where the test country signing certificate goes, PEM")
	f.BoolVar(&v.pss, "pss", false, "CIE: sign the security object with RSASSA-PSS, as newer cards")
	f.BoolVar(&v.openCertificate, "open-certificate", false, "CIE: give the certificate before the PIN")
	f.DurationVar(&v.delay.PerAPDU, "delay", 0, "time that each command takes")
	f.DurationVar(&v.delay.PerByte, "delay-byte", 0, "time that each byte takes")
	return cmd
}

// cardNumber is the part of a CNS's name between the codice fiscale and the hash.
var cardNumber = regexp.MustCompile(`/(\d{16})\.`)

func (v *virtualCard) run(cmd *cobra.Command) error {
	cert, key, err := v.load()
	if err != nil {
		return exit(command.Usage, err)
	}
	var card virtual.Card
	var name string
	switch v.kind {
	case "cns":
		card, name, err = v.cns(cert, key)
	case "cie":
		card, name, err = v.cie(cert, key)
	default:
		err = fmt.Errorf("--kind %s: not there; possible: cns, cie", v.kind)
	}
	if err != nil {
		return exit(command.Usage, err)
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", v.vpcd)
	if err != nil {
		return exit(command.Unavailable, fmt.Errorf("the virtual reader does not answer at %s (package vsmartcard-vpcd, and pcscd running): %w", v.vpcd, err))
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s in the reader; PIN %s, PUK %s; Ctrl-C takes it out\n", name, v.pin, v.puk)
	if err := virtual.Serve(ctx, conn, card, &v.delay); err != nil {
		return exit(command.InputOutput, err)
	}
	return nil
}

func (v *virtualCard) cns(cert *x509.Certificate, key *rsa.PrivateKey) (virtual.Card, string, error) {
	family, ok := virtual.FamilyByName(v.family)
	if !ok {
		return nil, "", fmt.Errorf("--family %s: no CNS", v.family)
	}
	number := cardNumber.FindStringSubmatch(cert.Subject.CommonName)
	if number == nil {
		return nil, "", errors.New("--cert: no card number in the certificate's name (codice fiscale / card number . hash)")
	}
	v.pin = cmp.Or(v.pin, "24680")
	card, err := virtual.NewCNS(virtual.CNSOptions{Family: family, Certificate: cert.Raw, Key: key, ID: number[1], PIN: v.pin, PUK: v.puk,
		Personal: [16]string{8: signing.ClaimedCodiceFiscale(cert)}})
	return card, "CNS " + number[1] + " (" + family.Name + ")", err
}

func (v *virtualCard) cie(cert *x509.Certificate, key *rsa.PrivateKey) (virtual.Card, string, error) {
	family, ok := virtual.CIEFamilyByName(v.family)
	if !ok {
		return nil, "", fmt.Errorf("--family %s: no CIE", v.family)
	}
	ds, err := virtual.NewDocumentSigner()
	if err != nil {
		return nil, "", err
	}
	if v.csca != "" {
		if err := os.WriteFile(v.csca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ds.Root.Raw}), 0o644); err != nil { //nolint:gosec // a certificate, for everybody to read
			return nil, "", fmt.Errorf("--csca-out: %w", err)
		}
	}
	v.pin = cmp.Or(v.pin, "12345678")
	card, err := virtual.NewCIE(virtual.CIEOptions{Family: family, Certificate: cert.Raw, Key: key, ServiceID: v.number, Serial: "CA00000AA", PIN: v.pin, PUK: v.puk,
		RoleExponent: cie.RoleExponent(), SignerCertificate: ds.Certificate.Raw, Signer: ds.Key, PSS: v.pss, OpenCertificate: v.openCertificate})
	return card, "CIE " + v.number + " (" + family.Name + ")", err
}

func (v *virtualCard) load() (*x509.Certificate, *rsa.PrivateKey, error) {
	read := func(flag, name string) ([]byte, error) {
		text, err := os.ReadFile(name) //nolint:gosec // the tester names it
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("--%s: no PEM in %s", flag, name)
		}
		return block.Bytes, nil
	}
	der, err1 := read("cert", v.cert)
	keyDER, err2 := read("key", v.key)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("--cert: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("--key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("--key: not the certificate's RSA key")
	}
	return cert, key, nil
}
