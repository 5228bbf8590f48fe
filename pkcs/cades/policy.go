package cades

import (
	"encoding/asn1"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

const oidPolicyURI = "1.2.840.113549.1.9.16.5.1" // id-spq-ets-uri

// signaturePolicy reads signature-policy-identifier (EN 319 122-1, 5.2.9.1); nil
// without one. A NULL in its place is the implied policy.
func signaturePolicy(si *cms.SignerInfo, f *validation.Facts) *validation.SignaturePolicyFacts {
	raw, ok := find(si.Signed, cms.OIDSignaturePolicy)
	if !ok {
		return nil
	}
	p := &validation.SignaturePolicyFacts{}
	if raw[0] == asn1.TagNull {
		return p
	}
	el, _, err := cms.Next(raw)
	if err != nil {
		addFault(f, "signature-policy-unreadable", err.Error())
		return p
	}
	id, rest, err := cms.Next(el.Content)
	if err == nil {
		p.OID, err = cms.ParseOID(id.Raw)
	}
	if err != nil {
		addFault(f, "signature-policy-unreadable", err.Error())
		return p
	}
	// EN 319 122-1 wants the digest; older signatures leave it out.
	if hash, next, err := cms.Next(rest); err == nil {
		var v struct {
			Algorithm asn1.RawValue
			Value     []byte
		}
		var alg asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(hash.Raw, &v); err == nil {
			if _, err := asn1.Unmarshal(v.Algorithm.Bytes, &alg); err == nil {
				p.Hash = v.Value
				if h := cms.HashByOID(alg.String()); h != 0 {
					p.HashName = h.String()
				}
			}
		}
		p.URI = policyURI(next)
	}
	return p
}

// policyURI finds where the policy is published among its qualifiers.
func policyURI(raw []byte) string {
	var qualifiers []struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(raw, &qualifiers); err != nil {
		return ""
	}
	for _, q := range qualifiers {
		if q.ID.String() == oidPolicyURI && len(q.Value.Bytes) <= 2048 {
			return string(q.Value.Bytes)
		}
	}
	return ""
}
