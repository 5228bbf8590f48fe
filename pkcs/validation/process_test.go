package validation_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
)

// The facts of these tests are made by hand: a signer, an authority in between, an
// anchor, each valid for a span of years, and answers about them.
var (
	signerDER, caDER, rootDER = []byte("signer"), []byte("authority"), []byte("root")
	tsaDER                    = []byte("time-stamper")
)

func year(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }

func month(y, m int) time.Time { return time.Date(y, time.Month(m), 1, 0, 0, 0, 0, time.UTC) }

func link(der []byte, from, to int) validation.LinkFacts {
	return validation.LinkFacts{Certificate: der, NotBefore: year(from), NotAfter: year(to), DigestName: "SHA-256", KeyName: "ECDSA", KeyBits: 256}
}

func answer(der []byte, status string, this, next time.Time) validation.RevocationFacts {
	sum := sha256.Sum256(der)
	return validation.RevocationFacts{Subject: sum[:], Kind: "crl", Source: "file", Object: validation.ObjectID([]byte(fmt.Sprint("list", this))),
		ThisUpdate: this, NextUpdate: &next, Status: status, Trusted: true, ByIssuer: true, DigestName: "SHA-256"}
}

func revokedAt(r validation.RevocationFacts, at time.Time, reason string) validation.RevocationFacts {
	r.Status, r.RevokedAt, r.Reason = "revoked", &at, reason
	return r
}

// good is a signature of 2020 that is judged in the middle of 2021.
func good() *validation.Facts {
	signed := month(2020, 6)
	return &validation.Facts{
		ID: validation.ObjectID([]byte("signature")), Format: "CAdES", Level: "B-B", Time: month(2021, 6),
		Content: validation.ContentFacts{Found: true, Bytes: 3},
		Signer:  validation.SignerFacts{Certificate: signerDER},
		Value:   validation.ValueFacts{DigestName: "SHA-256", KeyName: "ECDSA", KeyBits: 256, OverReceived: true, OverDER: true, ReceivedIsDER: true, Checked: true},
		Attribute: validation.AttributeFacts{Present: true, ContentTypePresent: true, ContentTypeMatch: true, DigestPresent: true, DigestMatch: true,
			SigningTime: &signed, SigningCertificate: validation.ESSFacts{Version: 2, Match: true}},
		Chain: validation.ChainFacts{Found: true, Anchor: &validation.AnchorFacts{Certificate: rootDER, Profiles: []string{"qualified"}},
			Links: []validation.LinkFacts{link(signerDER, 2019, 2022), link(caDER, 2010, 2030), link(rootDER, 2000, 2040)}},
		Identity:   validation.IdentityFacts{Profile: "qualified", KeyUsage: []string{"nonRepudiation"}, RevocationSources: true},
		Revocation: []validation.RevocationFacts{answer(signerDER, "good", month(2021, 5), month(2021, 7)), answer(caDER, "good", month(2021, 5), month(2021, 7))},
	}
}

// stamp is a time-stamp that holds, of a kind and a time.
func stamp(kind string, at time.Time, covers ...string) validation.TimestampFacts {
	token := good()
	token.Format, token.Attribute.SigningTime = "RFC 3161", nil
	token.Signer.Certificate = tsaDER
	token.Chain.Links = []validation.LinkFacts{link(tsaDER, 2010, 2030), link(rootDER, 2000, 2040)}
	token.Revocation = []validation.RevocationFacts{answer(tsaDER, "good", month(2019, 1), year(2035))}
	return validation.TimestampFacts{ID: validation.ObjectID([]byte(kind + at.String())), Kind: kind, GenTime: at, ImprintFound: true, ImprintMatch: true,
		ImprintDigest: "SHA-256", Covers: covers, Token: token}
}

func stamped(f *validation.Facts, stamps ...validation.TimestampFacts) *validation.Facts {
	f.Timestamps = append(f.Timestamps, stamps...)
	return f
}

type change func(*validation.Facts)

func remembering(r validation.RevocationFacts, since time.Time) validation.RevocationFacts {
	r.Remembers = &since
	return r
}

func hashed(r validation.RevocationFacts) validation.RevocationFacts {
	same := true
	r.CertHash = &same
	return r
}

// delegated: a responder signed the answer, and this is known of it.
func delegated(status string) change {
	responder := []byte("responder")
	return func(f *validation.Facts) {
		f.Revocation[0].ByIssuer, f.Revocation[0].By = false, &validation.ChainFacts{Found: true, Links: []validation.LinkFacts{link(responder, 2019, 2025), link(caDER, 2015, 2030)}}
		switch status {
		case "good":
			f.Revocation = append(f.Revocation, answer(responder, "good", month(2021, 5), month(2021, 7)))
		case "revoked":
			f.Revocation = append(f.Revocation, revokedAt(answer(responder, "", month(2021, 5), month(2021, 7)), month(2021, 4), "keyCompromise"))
		}
	}
}

// Each sub-indication of ETSI EN 319 102-1, 5.1.3 by facts that give it.
func TestEverySubIndication(t *testing.T) {
	const passed, open, failed = validation.TotalPassed, validation.Indeterminate, validation.TotalFailed
	onSigner := func(r validation.RevocationFacts) change {
		return func(f *validation.Facts) { f.Revocation[0] = r }
	}
	now := func(t time.Time) change { return func(f *validation.Facts) { f.Time = t } }
	with := func(s ...validation.TimestampFacts) change { return func(f *validation.Facts) { stamped(f, s...) } }
	revoked := onSigner(revokedAt(answer(signerDER, "", month(2021, 5), month(2021, 7)), month(2021, 3), "superseded"))
	revokedCA := func(f *validation.Facts) {
		f.Revocation[1] = revokedAt(answer(caDER, "", month(2021, 5), month(2021, 7)), month(2021, 3), "superseded")
	}
	late := month(2023, 6) // the signer's certificate has ended
	ended := func(f *validation.Facts) {
		f.Revocation[0].ByIssuer, f.Revocation[0].By = false, &validation.ChainFacts{Found: true, Links: []validation.LinkFacts{link([]byte("responder"), 2019, 2021)}}
	}
	weak := func(f *validation.Facts) { f.Value.DigestName = "SHA-1" }
	for _, c := range []struct {
		name    string
		changes []change
		want    validation.Indication
		sub     validation.SubIndication
	}{
		{"good", nil, passed, ""},
		{"format known by name only", []change{func(f *validation.Facts) { f.Unread = true; f.Format = "XAdES" }}, open, ""},
		{"encoding", []change{func(f *validation.Facts) { f.Attribute.ContentTypeMatch = false }}, failed, validation.FormatFailure},
		{"PDF byte range", []change{func(f *validation.Facts) {
			f.Faults = append(f.Faults, validation.Fault{ID: "pdf-byte-range", Text: "two gaps"})
		}}, failed, validation.FormatFailure},
		{"PDF shows something else", []change{func(f *validation.Facts) {
			f.PDF = &validation.PDFFacts{Changes: []validation.PDFChange{{ID: "page-content", Text: "page 1"}}}
		}}, failed, validation.FormatFailure},
		{"PDF with a second signature", []change{func(f *validation.Facts) {
			f.PDF = &validation.PDFFacts{Changes: []validation.PDFChange{{ID: "signature"}, {ID: "dss"}}}
		}}, passed, ""},
		{"PDF certified, then filled in", []change{func(f *validation.Facts) {
			f.PDF = &validation.PDFFacts{Changes: []validation.PDFChange{{ID: "form-fill", Forbidden: true}}}
		}}, failed, validation.FormatFailure},
		{"digest", []change{func(f *validation.Facts) { f.Attribute.DigestMatch = false }}, failed, validation.HashFailure},
		{"value", []change{func(f *validation.Facts) { f.Value.OverReceived, f.Value.OverDER = false, false }}, failed, validation.SigCryptoFailure},
		{"signed after the revocation, proved", []change{revoked, with(stamp("content", month(2021, 4)))}, failed, validation.Revoked},
		{"signed after the end, proved", []change{now(late), with(stamp("content", month(2023, 2)))}, failed, validation.Expired},
		{"before the certificate", []change{now(month(2018, 6))}, failed, validation.NotYetValid},
		{"stamped before the certificate", []change{with(stamp("signature", month(2018, 6)))}, failed, validation.NotYetValid},
		{"no signing time", []change{func(f *validation.Facts) { f.Attribute.SigningTime = nil }}, open, validation.SigConstraintsFailure},
		{"key usage", []change{func(f *validation.Facts) { f.Identity.KeyUsage = []string{"keyAgreement"} }}, open, validation.ChainConstraintsFailure},
		{"path rules", []change{func(f *validation.Facts) {
			f.Chain.Links[0].Faults = []validation.Fault{{ID: "path-length"}}
		}}, open, validation.CertificateChainGeneral},
		{"no answer", []change{func(f *validation.Facts) { f.Revocation = nil }}, open, validation.CertificateChainGeneral},
		{"unknown algorithm", []change{func(f *validation.Facts) { f.Value.Checked = false }}, open, validation.CryptoConstraintsFailure},
		{"weak algorithm", []change{weak}, open, validation.CryptoConstraintsNoPOE},
		{"weak algorithm, also when stamped", []change{weak, with(stamp("signature", month(2020, 7)))}, open, validation.CryptoConstraintsNoPOE},
		{"weak when the content was stamped", []change{weak, with(stamp("content", month(2020, 5)))}, open, validation.CryptoConstraintsFailure},
		{"signature policy unknown", []change{func(f *validation.Facts) { f.SignaturePolicy = &validation.SignaturePolicyFacts{OID: "1.2.3"} }}, passed, ""},
		{"stamps out of order", []change{with(stamp("content", month(2021, 2)), stamp("signature", month(2020, 7)))}, open, validation.TimestampOrderFailure},
		{"no certificate", []change{func(f *validation.Facts) { f.Signer.Certificate = nil; f.Chain = validation.ChainFacts{} }}, open, validation.NoSigningCertificateFound},
		{"no chain", []change{func(f *validation.Facts) { f.Chain = validation.ChainFacts{Note: "nobody"} }}, open, validation.NoCertificateChainFound},
		{"anchor no longer listed", []change{func(f *validation.Facts) {
			f.Chain.Anchor.Periods = []validation.Period{{From: year(2015), To: month(2021, 1)}}
		}}, open, validation.NoChainFoundNoPOE},
		{"anchor no longer listed, stamped before", []change{func(f *validation.Facts) {
			f.Chain.Anchor.Periods = []validation.Period{{From: year(2015), To: month(2021, 1)}}
		}, with(stamp("signature", month(2020, 7)))}, passed, ""},
		{"revoked", []change{revoked}, open, validation.RevokedNoPOE},
		{"revoked, stamped before", []change{revoked, with(stamp("signature", month(2020, 7)))}, passed, ""},
		{"revoked, stamped after", []change{revoked, with(stamp("signature", month(2021, 4)))}, open, validation.RevokedNoPOE},
		{"authority revoked", []change{revokedCA}, open, validation.RevokedCANoPOE},
		{"authority revoked, stamped before", []change{revokedCA, with(stamp("signature", month(2020, 7)))}, passed, ""},
		{"ended, known not revoked", []change{now(late), onSigner(remembering(answer(signerDER, "good", month(2023, 5), month(2023, 7)), month(2020, 1)))}, open, validation.OutOfBoundsNotRevoked},
		{"ended, the answer holds its hash", []change{now(late), onSigner(hashed(answer(signerDER, "good", month(2023, 5), month(2023, 7))))}, open, validation.OutOfBoundsNotRevoked},
		{"ended, the answer may have lost sight of it", []change{now(late), onSigner(answer(signerDER, "good", month(2023, 5), month(2023, 7)))}, open, validation.OutOfBoundsNoPOE},
		{"ended before the time that the answer remembers", []change{now(late), onSigner(remembering(answer(signerDER, "good", month(2023, 5), month(2023, 7)), month(2023, 1)))}, open, validation.OutOfBoundsNoPOE},
		{"answer by a responder that was revoked", []change{delegated("revoked")}, open, validation.CertificateChainGeneral},
		{"answer signed with SHA-1", []change{func(f *validation.Facts) { f.Revocation[0].DigestName = "SHA-1" }}, open, validation.CertificateChainGeneral},
		{"answer signed with a short key", []change{func(f *validation.Facts) { f.Revocation[0].KeyName, f.Revocation[0].KeyBits = "RSA", 512 }}, open, validation.CertificateChainGeneral},
		{"answer by a responder of whom nothing is known", []change{delegated("")}, passed, ""},
		{"answer by a responder that is good", []change{delegated("good")}, passed, ""},
		{"answer by a revoked responder that nobody has to check", []change{delegated("revoked"), func(f *validation.Facts) { f.Revocation[0].By.Links[0].NoCheck = true }}, passed, ""},
		{"ended", []change{now(late), func(f *validation.Facts) { f.Identity.NoRevocation = true; f.Revocation = nil }}, open, validation.OutOfBoundsNoPOE},
		{"ended, stamped before", []change{now(late), with(stamp("signature", month(2021, 5)))}, passed, ""},
		{"on hold", []change{onSigner(revokedAt(answer(signerDER, "", month(2021, 5), month(2021, 7)), month(2021, 4), "certificateHold"))}, open, validation.TryLater},
		{"on hold, stamped before", []change{onSigner(revokedAt(answer(signerDER, "", month(2021, 5), month(2021, 7)), month(2021, 4), "certificateHold")),
			with(stamp("signature", month(2020, 7)))}, passed, ""},
		{"old answer", []change{onSigner(answer(signerDER, "good", month(2020, 1), month(2020, 2)))}, open, validation.TryLater},
		{"answer of a responder that has ended", []change{ended}, open, validation.RevocationOutOfBounds},
		{"answer of a responder that has ended, signature stamped", []change{ended, with(stamp("signature", month(2020, 7)))}, open, validation.NoPOE},
		{"answer of a responder that has ended, stamped too", []change{ended, func(f *validation.Facts) {
			stamped(f, stamp("archive", month(2021, 1), f.ID, f.Revocation[0].Object))
		}}, passed, ""},
		{"no content", []change{func(f *validation.Facts) { f.Content.Found = false; f.Attribute.DigestMatch = false }}, open, validation.SignedDataNotFound},
		{"time-stamp over something else", []change{revoked, func(f *validation.Facts) {
			s := stamp("signature", month(2020, 7))
			s.ImprintMatch = false
			stamped(f, s)
		}}, open, validation.RevokedNoPOE},
		{"time-stamp in the future", []change{revoked, with(stamp("signature", month(2022, 7)))}, open, validation.RevokedNoPOE},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			for _, ch := range c.changes {
				ch(f)
			}
			r := validation.Judge(f, validation.Default())
			if r.Indication != c.want || r.SubIndication != c.sub {
				t.Errorf("%s %s, want %s %s", r.Indication, r.SubIndication, c.want, c.sub)
				for _, m := range r.Signature(message.English).Messages {
					t.Log(m.Level, m.Check, m.Text)
				}
				for _, s := range r.Timestamps {
					t.Log(s.Facts.Kind, s.Indication, s.SubIndication)
				}
			}
		})
	}
}

// Sub-indications that only another policy gives.
func TestSubIndicationsOfAPolicy(t *testing.T) {
	for _, c := range []struct {
		name string
		p    func(*validation.Policy)
		f    change
		want validation.Indication
		sub  validation.SubIndication
	}{
		{"signature policy demanded", func(p *validation.Policy) {
			p.Checks = map[string]validation.Level{"signature-policy-known": validation.Fail}
		}, func(f *validation.Facts) { f.SignaturePolicy = &validation.SignaturePolicyFacts{OID: "1.2.3"} }, validation.Indeterminate, validation.SignaturePolicyNotAvailable},
		{"signature policy with another digest", func(p *validation.Policy) {
			p.Checks = map[string]validation.Level{"signature-policy-hash": validation.Fail}
			p.SignaturePolicies = map[string]string{"1.2.3": "aa"}
		}, func(f *validation.Facts) {
			f.SignaturePolicy = &validation.SignaturePolicyFacts{OID: "1.2.3", Hash: []byte{0xbb}}
		}, validation.Indeterminate, validation.PolicyProcessingError},
		{"the register's word", func(p *validation.Policy) { p.Proofs = []string{"register"} }, func(f *validation.Facts) {
			f.Revocation[0] = revokedAt(f.Revocation[0], month(2021, 3), "superseded")
			f.Proofs = []validation.ProofFacts{{Kind: "register", Time: month(2020, 8)}}
		}, validation.TotalPassed, ""},
		{"the register's word, not asked for", func(*validation.Policy) {}, func(f *validation.Facts) {
			f.Revocation[0] = revokedAt(f.Revocation[0], month(2021, 3), "superseded")
			f.Proofs = []validation.ProofFacts{{Kind: "register", Time: month(2020, 8)}}
		}, validation.Indeterminate, validation.RevokedNoPOE},
		{"an old answer that is kept for a day", func(p *validation.Policy) { p.RevocationKeepHours = 24 }, func(f *validation.Facts) {
			f.Revocation[0] = answer(signerDER, "good", f.Time.Add(-20*time.Hour), f.Time.Add(-8*time.Hour))
		}, validation.TotalPassed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, p := good(), validation.Default()
			c.f(f)
			c.p(p)
			if r := validation.Judge(f, p); r.Indication != c.want || r.SubIndication != c.sub {
				t.Errorf("%s %s, want %s %s", r.Indication, r.SubIndication, c.want, c.sub)
			}
		})
	}
}

// A list that was published by an authority whose certificate has ended since counts
// when an archive time-stamp proves that the list is older (5.6.2).
func TestArchive(t *testing.T) {
	f := good()
	f.Time = month(2033, 1) // authority ended 2030
	f.Revocation = []validation.RevocationFacts{answer(signerDER, "good", month(2020, 7), month(2020, 8)), answer(caDER, "good", month(2020, 7), month(2020, 8))}
	first := stamp("signature", month(2020, 7))
	archive := stamp("archive", month(2029, 1), f.ID, first.ID, f.Revocation[0].Object, f.Revocation[1].Object, validation.ObjectID(signerDER), validation.ObjectID(caDER))
	archive.Token.Chain.Links[0] = link(tsaDER, 2025, 2040)
	for _, x := range []*validation.TimestampFacts{&first, &archive} {
		x.Token.Revocation[0].NextUpdate = ptr(year(2040))
	}
	if r := validation.Judge(stamped(f, first), validation.Default()); r.Passed() {
		t.Error("passes without the archive time-stamp, its time-stamper and authority having ended")
	}
	r := validation.Judge(stamped(f, archive), validation.Default())
	if !r.Passed() || !r.BestSignatureTime.Equal(first.GenTime) {
		t.Errorf("%s %s at %s", r.Indication, r.SubIndication, r.BestSignatureTime)
		for _, m := range r.Signature(message.English).Messages {
			t.Log(m.Level, m.Check, m.Text)
		}
		for _, s := range r.Timestamps {
			t.Log(s.Facts.Kind, s.Indication, s.SubIndication)
		}
	}
}

func ptr[T any](v T) *T { return &v }
