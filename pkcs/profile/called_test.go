package profile_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/citel-pa/citel/pkcs/profile"
)

func TestCalled(t *testing.T) {
	person := pkix.Name{CommonName: "AAABBB80A01H501X/123"}
	for oid, v := range map[int]string{42: "Prova", 4: "Cittadino"} {
		person.Names = append(person.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, oid}, Value: v})
	}
	for want, n := range map[string]pkix.Name{
		"Prova Cittadino": person,
		"CA di prova":     {CommonName: "CA di prova", Organization: []string{"Ente"}},
		"Ente":            {Organization: []string{"Ente"}},
		"":                {},
	} {
		if got := profile.Called(n); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
