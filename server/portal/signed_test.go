package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"io"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/testdata/pki"
)

func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// submitted makes an application of the person of town.FormOf(1), signed and taken in.
func (d *desk) submitted(who int64) string {
	d.t.Helper()
	ctx := d.t.Context()
	p := pki.Shared(d.t)
	o := d.portal.Office
	if _, err := o.Trust.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		d.t.Fatal(err)
	}
	list, err := p.CRL(p.CNS)
	if err == nil {
		err = o.Trust.AddCRL(list, "cns")
	}
	if err != nil {
		d.t.Fatal(err)
	}
	o.Policy, o.Revocation = validation.Strict(), &trust.Revocation{Store: o.Trust}
	citizen, err := person.Get(ctx, d.Store, who)
	if err != nil {
		d.t.Fatal(err)
	}
	draft, err := o.NewDraft(ctx, service.Kindergarten, citizen, map[string]string{"child-given": "Prova"})
	if err != nil {
		d.t.Fatal(err)
	}
	file, err := o.DraftPDF(ctx, draft)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(file)
	if err != nil {
		d.t.Fatal(err)
	}
	id := p.MustIssue(d.t, pki.CNS, pki.P256, pki.Invented(1))
	var signed bytes.Buffer
	err = cades.Sign(ctx, cades.SignOptions{Certificate: id.Cert, SigningTime: d.Today(),
		Sign: func(_ context.Context, sum []byte, opts crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, opts)
		},
	}, bytes.NewReader(content), int64(len(content)), &signed)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := o.Submit(ctx, draft, citizen, &signed, message.Italian)
	if err != nil {
		d.t.Fatal(err)
	}
	return s.ID
}
