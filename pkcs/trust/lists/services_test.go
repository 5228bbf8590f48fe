package lists_test

import (
	"bytes"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/validation"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// path loads a scene and follows a certificate to its anchor.
func path(t *testing.T, scene *made.Scene, leaf *x509.Certificate) validation.ChainFacts {
	t.Helper()
	lotl, err := scene.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := loader(scene, "")
	l.Source, l.Fetch = lotl, nil
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	facts, _ := l.Store.Path(leaf, nil)
	return facts
}

func TestHistory(t *testing.T) {
	p := pki.Shared(t)
	leaf := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0]).Cert
	scene := newScene(t, "https://lists.example")
	day := func(y int) time.Time { return time.Date(y, 7, 1, 0, 0, 0, 0, time.UTC) }
	q := &scene.IT.Services[0]
	q.Status, q.From = made.Withdrawn, day(2024)
	q.Extension = `<Extension Critical="false"><ExpiredCertsRevocationInfo>2010-01-01T00:00:00Z</ExpiredCertsRevocationInfo></Extension><Extension Critical="true"><add:TakenOverBy><add:URI xml:lang="en">https://x.example</add:URI><add:TSPName><Name xml:lang="en">CiTel TEST heir</Name></add:TSPName></add:TakenOverBy></Extension>`
	q.History = []made.State{
		{Type: made.CAQC, Status: made.Granted, From: day(2019), Uses: []string{made.ForeSignatures}, Extension: made.Qualified("0.4.0.194112.1.2", "QCWithQSCD")},
		{Type: made.CAQC, Status: made.Granted, From: day(2016), Uses: []string{made.ForeSignatures}, Extension: made.Qualified("1.2.3.4", "NotQualified")},
		{Type: made.CAQC, Status: made.Withdrawn, From: day(2014)},
		{Type: made.CAQC, Status: strings.Replace(made.Granted, "granted", "undersupervision", 1), From: day(2010)},
	}
	a := path(t, scene, leaf).Anchor
	if a == nil || a.Service == nil {
		t.Fatal("no service")
	}
	want := []validation.Period{{From: day(2010), To: day(2014)}, {From: day(2016), To: day(2024)}}
	if len(a.Periods) != 2 || !a.Periods[0].From.Equal(want[0].From) || !a.Periods[0].To.Equal(want[0].To) || !a.Periods[1].From.Equal(want[1].From) || !a.Periods[1].To.Equal(want[1].To) {
		t.Errorf("%v", a.Periods)
	}
	h := a.Service.History
	if len(h) != 5 || len(h[1].Qualifiers) != 1 || !strings.HasSuffix(h[1].Qualifiers[0], "/QCWithQSCD") || len(h[2].Qualifiers) != 0 {
		t.Errorf("%+v", h)
	}
	if a.Service.ExpiredCerts == nil || a.Service.TakenOverBy != "CiTel TEST heir" || a.Service.Territory != "IT" {
		t.Errorf("%+v", a.Service)
	}
}

// What never counted is no anchor, nor what has a critical extension that is not known,
// nor what has no certificate.
func TestNoAnchor(t *testing.T) {
	leaf := pki.Shared(t).MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0]).Cert
	for name, change := range map[string]func(*made.Service){
		"never granted":      func(s *made.Service) { s.Status = made.Withdrawn },
		"critical extension": func(s *made.Service) { s.Extension = `<Extension Critical="true"><x xmlns="urn:x"/></Extension>` },
		"no certificate":     func(s *made.Service) { s.Certs = nil },
		"issues nothing":     func(s *made.Service) { s.Type = "http://uri.etsi.org/TrstSvc/Svctype/QESValidation/Q" },
	} {
		scene := newScene(t, "https://lists.example")
		change(&scene.IT.Services[0])
		if f := path(t, scene, leaf); f.Found {
			t.Errorf("%s: found", name)
		}
	}
	scene := newScene(t, "https://lists.example")
	scene.IT.Services[0].Extension = `<Extension Critical="false"><x xmlns="urn:x"/></Extension>`
	if f := path(t, scene, leaf); !f.Found {
		t.Error("an extension that is not critical forbids the service")
	}
}

// Of several services with one certificate the one that speaks of the signer's kind
// counts.
func TestServiceOfTheKind(t *testing.T) {
	p := pki.Shared(t)
	scene := newScene(t, "https://lists.example")
	seals := scene.IT.Services[0]
	seals.Name, seals.Uses = "seals", []string{made.ForeSeals}
	cns := scene.IT.Services[0]
	cns.Name, cns.Type, cns.Status, cns.Uses = "cns too", made.IdV, made.Recognised, nil
	scene.IT.Services = append([]made.Service{seals, cns}, scene.IT.Services...)
	a := path(t, scene, p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0]).Cert).Anchor
	if a == nil || a.Service.Name != "CiTel TEST Qualified CA" {
		t.Errorf("%+v", a)
	}
}

func FuzzParse(f *testing.F) {
	scene := newScene(f, "https://lists.example")
	scene.IT.Services[0].Extension = made.Qualified("1.2.3", "QCWithQSCD")
	files, err := scene.Files()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range files {
		f.Add([]byte(text))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		x, err := lists.Parse(data)
		if err != nil {
			return
		}
		_, _ = x.Verify(pins(scene.Italy, scene.Union, scene.Official)) // an error is as good as any
	})
}

// list450 is as large as Italy's: some 450 services.
func list450(tb testing.TB) ([]byte, lists.Signers) {
	tb.Helper()
	scene := newScene(tb, "https://lists.example")
	for i := range 450 {
		s := scene.IT.Services[i%4]
		s.Extension = made.Qualified("1.3.76.38.1.1.1", "QCWithQSCD")
		s.History = []made.State{s.State, s.State, s.State}
		scene.IT.Services = append(scene.IT.Services, s)
	}
	text, err := made.Sign(scene.IT.XML(), scene.Italy, made.Style{})
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(text), pins(scene.Italy)
}

// BenchmarkList reads and verifies a list as large as Italy's; tokens is encoding/xml
// reading the same file's tokens and no more, as the measure.
func BenchmarkList(b *testing.B) {
	data, signers := list450(b)
	b.Run("verified", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			x, err := lists.Parse(data)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := x.Verify(signers); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tokens", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			d := xml.NewDecoder(bytes.NewReader(data))
			for {
				if _, err := d.RawToken(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
