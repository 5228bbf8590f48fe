package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/window"
	"github.com/citel-pa/citel/testdata/chromium"
)

// sampleHand is every page with everything that it can show.
func sampleHand() map[string]any {
	long := "https://" + strings.Repeat("sportello-", 9) + "comune.example"
	use := pages.Use{When: "25/11/2026 10:00", What: "firma (2 documenti)", Who: long, Card: "CNS …0017", Digests: []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)}, Outcome: "riuscito", Good: true}
	bad := use
	bad.Good, bad.Gap, bad.Outcome = false, true, "PIN errato."
	return map[string]any{
		pages.Home:    pages.HomeData{State: "Carta pronta: CNS …0017.", Good: true, Readers: []string{"Lettore 1: CNS …0017", "Lettore 2: nessuna carta"}, Alerts: []string{"Il certificato scade."}, Last: []pages.Use{use}, About: "CiTel 1.0"},
		pages.History: pages.HistoryData{Uses: []pages.Use{use, bad}, Total: 200, Broken: true, GapEnd: true, Dropped: 4},
		pages.Card: pages.CardData{None: "Nessuna carta.", Cards: []pages.CardInfo{{ID: "aa", Title: "Carta nazionale dei servizi", Rows: []pages.Row{{Name: "Titolare", Value: "Prova Cittadino"}, {Name: "Numero del certificato", Value: strings.Repeat("A1", 30)}},
			Expiry: "Scade tra 7 giorni.", Tries: "Tentativi rimasti: 2.", Care: true}, {ID: "bb", Title: "CIE", Expiry: "Scaduta", Ended: true, Locked: true, Note: "Non qui."}}},
		pages.Settings: pages.SettingsData{Language: "it", LanguageLocked: true, AutostartFixed: true, Policy: "/etc/citel/policy.json", Trusted: []pages.Site{{Origin: long, Since: "01/01/2026"}, {Origin: long, Locked: true}},
			Browsers: []pages.Browser{{Name: "Firefox", State: "collegato a CiTel", Good: true}, {Name: "Chromium", State: "usa un altro programma (/usr/bin/" + strings.Repeat("lungo", 20) + "): lasciato com'è"}}, Joined: true,
			Blocked: []pages.Site{{Origin: long, Since: "01/01/2026"}}, Modules: []pages.Module{{Path: "/usr/lib/x86_64-linux-gnu/" + strings.Repeat("modulo", 12) + ".so", Name: "Modulo", State: "Il file c'è.", Good: true}}},
		pages.Doctor: pages.DoctorData{Bad: 1, Lines: []pages.Line{{State: "bad", Word: "DA SISTEMARE", Text: "Il servizio è fermo.", Cures: []pages.Cure{{ID: "start-service", Name: "Avvia", Changes: "Avvia pcscd."}}}, {State: "note", Word: "nota", Text: "Nota."}, {State: "good", Word: "bene", Text: "Bene."}},
			Undo: []pages.Cure{{ID: "set-time", Name: "Prendi l'ora", Changes: "x"}}},
	}
}

// handWindow is a window whose agent gives the samples.
func handWindow(t *testing.T, view frame.View) *httptest.Server {
	t.Helper()
	fromAgent, toWindow := io.Pipe()
	fromWindow, toAgent := io.Pipe()
	go func() { _ = frame.WriteJSON(toWindow, frame.Message{Type: frame.Show, View: &view}) }()
	w, err := window.Open(fromAgent, toAgent)
	if err != nil {
		t.Fatal(err)
	}
	go w.Follow(fromAgent)
	samples := sampleHand()
	go func() {
		for {
			k, payload, err := frame.Read(fromWindow)
			if err != nil {
				return
			}
			m, err := frame.Decode(payload)
			if err != nil || k != frame.JSON || m.Type != frame.Call {
				continue
			}
			reply := frame.Message{Type: frame.Reply, ID: m.ID}
			if v, ok := samples[m.Name]; ok {
				reply.Data, _ = json.Marshal(v)
			} else {
				reply.Data = json.RawMessage(`{"text":"Fatto.","report":"a\nb"}`)
			}
			_ = frame.WriteJSON(toWindow, reply)
		}
	}()
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		_ = toWindow.Close()
		_ = fromWindow.Close()
	})
	return srv
}

// axe-core finds nothing serious on the hand's pages and where the PIN is changed, in
// both languages, at the window's width and at a phone's.
func TestAccessibleHand(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	ctx := browser(t)
	look := func(name, address string) {
		t.Helper()
		for _, width := range []int64{860, 360} {
			do(t, ctx, name, chromedp.EmulateViewport(width, 820))
			do(t, ctx, name, chromium.Navigate(address))
			do(t, ctx, name, chromium.Seen("h1"))
			time.Sleep(600 * time.Millisecond)                                                                                      // it takes no input at first
			do(t, ctx, name, chromedp.Evaluate[bool](`document.querySelectorAll("[data-reveal]").forEach((b) => b.click()); true`)) // what is asked before something is done
			do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
			if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
				t.Errorf("%s, %d wide:\n%s", name, width, found)
			}
			if wide := do(t, ctx, name, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); wide > int(width) {
				t.Errorf("%s: %d wide in %d", name, wide, width)
			}
			if width == 360 {
				save(t, "narrow-"+name, do(t, ctx, name, chromedp.FullScreenshot(100)))
			}
		}
		do(t, ctx, name, chromium.Navigate("about:blank")) // its long poll ends with it
	}
	for _, lang := range []string{"it", "en"} {
		srv := handWindow(t, frame.View{Mode: frame.Hand, Lang: lang, Page: pages.Home})
		for _, p := range pages.All {
			look(p+"-"+lang, srv.URL+"/hand/"+p)
		}
		for _, r := range []consent.PINRequest{{Care: consent.CareChange, Card: consent.PINCard{Kind: "cns", Number: "6090000000000017", Name: "Prova Cittadino", TriesLeft: 1, Second: true, MinDigits: 5, MaxDigits: 8, Source: "Lettore 1"}},
			{Care: consent.CareUnblock, Card: consent.PINCard{Kind: "cie", Number: "123456789012", TriesLeft: -1, MinDigits: 8, MaxDigits: 8, Source: "Lettore 2"}}} {
			var in bytes.Buffer
			view := frame.View{Mode: frame.NewPIN, Lang: lang, NewPIN: &r, Deadline: time.Now().Add(time.Minute), Extendable: true}
			if err := frame.WriteJSON(&in, frame.Message{Type: frame.Show, View: &view}); err != nil {
				t.Fatal(err)
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
			look("pin-"+string(r.Care)+"-"+lang, srv.URL+"/")
			srv.CloseClientConnections()
			srv.Close()
		}
	}
}
