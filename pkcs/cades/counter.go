package cades

import (
	"context"
	"crypto"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Bounds of counter-signatures, which may be on each other.
const (
	maxCounterDepth = 3
	maxCounter      = 16
)

// counterSignatures reads the signatures on a signature (RFC 5652, 11.4;
// Deliberazione CNIPA 45/2009 calls them "controfirme"): each is a SignerInfo whose
// content is the value of the signature that it is on.
func counterSignatures(ctx context.Context, m *cms.Message, si *cms.SignerInfo, f *validation.Facts, depth int) {
	for _, a := range si.Unsigned {
		if a.OID != cms.OIDCounterSignature {
			continue
		}
		for _, raw := range a.Values {
			if depth == 0 || len(f.Counter) >= maxCounter {
				addFault(f, "counter-signatures", "it has more counter-signatures than are read")
				return
			}
			c, err := cms.ParseSigner(raw)
			if err != nil {
				addFault(f, "counter-signature", "a counter-signature cannot be read: "+err.Error())
				continue
			}
			over := *m
			over.ContentGiven, over.Detached, over.ContentBytes = true, false, int64(len(si.Signature))
			over.ContentType = ""
			over.Sums = map[crypto.Hash][]byte{}
			for _, h := range []crypto.Hash{crypto.SHA256, cms.HashByOID(c.Digest.OID)} {
				if h != 0 {
					over.Sums[h] = sum(h, si.Signature)
				}
			}
			over.Head = si.Signature // for time-stamps by other hashes
			cf := signerFacts(&over, &c)
			// It has no content-type: what it is over has none (RFC 5652, 11.4).
			cf.Attribute.ContentTypeMatch = !cf.Attribute.ContentTypePresent
			stamps(ctx, &over, &c, cf)
			counterSignatures(ctx, m, &c, cf, depth-1)
			f.Counter = append(f.Counter, cf)
		}
	}
}
