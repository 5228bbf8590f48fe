package e2e

import (
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/agent/window"
	"github.com/citel-pa/citel/testdata/chromium"
)

// axe-core finds nothing serious on the window's pages, in both languages, at the
// window's width and at a phone's.
func TestAccessibleWindow(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	ctx := browser(t)
	caller := consent.Caller{Origin: "https://sportello.xn--cmune-prove-7ya.example", Developer: true, Extension: true}
	cards := []consent.Certificate{
		{ID: "aa", Name: "Prova Cittadino", CodiceFiscale: "CTTPRV80A10G702C", Issuer: "CiTel TEST CNS CA", NotAfter: time.Now().AddDate(1, 0, 0), Source: "Lettore 1", PIN: consent.PIN{TriesLeft: 1}},
		{ID: "bb", Kind: "cie", Number: "123456789012", AfterPIN: true, Source: "Lettore 2", PIN: consent.PIN{TriesLeft: -1, Digits: 8}},
		{ID: "cc", Name: "Esempio Genitrice", Issuer: "CiTel TEST CNS CA", Source: "Lettore 3", Unfit: "consent.unfit-expired"},
	}
	pdf := hostilePDF()
	documents := []frame.DocumentInfo{{Name: "a.pdf", MediaType: "application/pdf", Size: int64(len(pdf)), Shown: true, SHA256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
		{Name: "b.txt", MediaType: "text/plain", Size: 4, Shown: true, SHA256: "ff"}, {Name: "c.bin", MediaType: "application/octet-stream", Size: 1 << 40}}
	for name, view := range map[string]frame.View{
		"login":       {Mode: frame.Ask, Purpose: consent.PurposeLogin, Certificates: cards, Extendable: true},
		"certificate": {Mode: frame.Ask, Purpose: consent.PurposeCertificate, Certificates: cards},
		"hash":        {Mode: frame.Ask, Purpose: consent.PurposeHash, Certificates: cards, Hash: &consent.Hash{Function: "SHA-512", Value: make([]byte, 64)}},
		"origin":      {Mode: frame.Ask, Purpose: consent.PurposeOrigin},
		"sign":        {Mode: frame.Ask, Purpose: consent.PurposeSign, Certificates: cards[1:2], Documents: documents},
		"review":      {Mode: frame.Review, Purpose: consent.PurposeSign, Documents: documents, Extendable: true},
		"status":      {Mode: frame.Status, Purpose: consent.PurposeLogin},
	} {
		for _, lang := range []string{"it", "en"} {
			view := view
			view.Lang, view.Caller, view.Deadline = lang, caller, time.Now().Add(time.Minute)
			var in bytes.Buffer
			if err := frame.WriteJSON(&in, frame.Message{Type: frame.Show, View: &view}); err != nil {
				t.Fatal(err)
			}
			if view.Mode == frame.Review {
				for _, b := range [][]byte{pdf, []byte("ciao")} {
					if err := frame.Write(&in, frame.Document, b); err != nil {
						t.Fatal(err)
					}
				}
			}
			w, err := window.Open(&in, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			h, err := w.Handler()
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(h)
			for _, width := range []int64{860, 360} {
				do(t, ctx, name, chromedp.EmulateViewport(width, 820))
				do(t, ctx, name, chromium.Navigate(srv.URL+"/"))
				do(t, ctx, name, chromium.Seen("h1"))
				if view.Mode == frame.Review {
					do(t, ctx, name, chromium.Until(`document.querySelector(".pages").getAttribute("aria-busy") === "false"`))
				}
				do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
				if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
					t.Errorf("%s, %s, %d wide:\n%s", name, lang, width, found)
				}
				if wide := do(t, ctx, name, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); wide > int(width) {
					t.Errorf("%s, %s: %d wide in %d", name, lang, wide, width)
				}
			}
			do(t, ctx, name, chromium.Navigate("about:blank")) // its long poll ends with it
			srv.CloseClientConnections()
			srv.Close()
		}
	}
}
