package window_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/window"
)

func newPIN() frame.View {
	return frame.View{Mode: frame.NewPIN, Lang: "it", NewPIN: &consent.PINRequest{Care: consent.CareUnblock,
		Card: consent.PINCard{Kind: "cie", Number: "123456789012", Source: "Lettore", TriesLeft: 1, MinDigits: 8, MaxDigits: 8}}}
}

// The PIN's page takes three lines and hands two of them over; what the card would not
// take stays here, and no other window takes them.
func TestNewPIN(t *testing.T) {
	out, h := open(t, newPIN())
	body := call(h, "GET", "/", "").Body.String()
	for _, want := range []string{"Sblocca la carta con il PUK", "prime 4 sono sulla ricevuta", "non si può più sbloccare", `type="password"`, "Nessun sito può chiederlo"} {
		if !strings.Contains(body, want) {
			t.Errorf("without %q", want)
		}
	}
	const good = "87654321\n27182818\n27182818"
	if r := call(h, "POST", "/secrets", good); r.Code != http.StatusConflict {
		t.Errorf("before it was painted: %d", r.Code)
	}
	call(h, "POST", "/painted", "")
	time.Sleep(520 * time.Millisecond)
	for body, code := range map[string]int{
		"": http.StatusConflict, "8765\n27182818\n27182818": http.StatusUnprocessableEntity, "87654321\n27182818\n27182819": http.StatusUnprocessableEntity,
		"87654321\n11111111\n11111111": http.StatusUnprocessableEntity, "87654321\n12345678\n12345678": http.StatusUnprocessableEntity,
		good + "\nx": http.StatusConflict, strings.Repeat("1", 300): http.StatusConflict,
	} {
		if r := call(h, "POST", "/secrets", body); r.Code != code || strings.Contains(r.Body.String(), "87654321") {
			t.Errorf("%q: %d %s", body, r.Code, r.Body)
		}
	}
	if r := call(h, "POST", "/secrets", good); r.Code != http.StatusOK {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	list, secrets := out.frames(t)
	if len(list) != 2 || list[1].Type != frame.Secrets || len(secrets) != 2 || secrets[0] != "87654321" || secrets[1] != "27182818" {
		t.Errorf("%+v %q", list, secrets)
	}
	if r := call(h, "POST", "/secrets", good); r.Code != http.StatusConflict {
		t.Errorf("a second answer: %d", r.Code)
	}
	for _, path := range []string{"/answer?certificate=aa", "/next", "/block", "/do/quit"} {
		if r := call(h, "POST", path, "24680"); r.Code == http.StatusOK {
			t.Errorf("%s: %d", path, r.Code)
		}
	}
}

// A hand shows what the agent says, escaped, and takes no PIN.
func TestHand(t *testing.T) {
	fromAgent, toWindow := io.Pipe()
	fromWindow, toAgent := io.Pipe()
	t.Cleanup(func() { _ = toWindow.Close(); _ = fromWindow.Close() })
	go func() {
		_ = frame.WriteJSON(toWindow, frame.Message{Type: frame.Show, View: &frame.View{Mode: frame.Hand, Lang: "it", Page: "evil"}})
	}()
	w, err := window.Open(fromAgent, toAgent)
	if err != nil {
		t.Fatal(err)
	}
	raised := make(chan struct{}, 1)
	w.Raise = func() { raised <- struct{}{} }
	go w.Follow(fromAgent)
	go func() {
		for {
			_, payload, err := frame.Read(fromWindow)
			if err != nil {
				return
			}
			m, err := frame.Decode(payload)
			if err != nil || m.Type != frame.Call {
				continue
			}
			reply := frame.Message{Type: frame.Reply, ID: m.ID}
			switch m.Name {
			case pages.Home:
				reply.Data, _ = json.Marshal(pages.HomeData{State: "<script>x</script>", Readers: []string{"<b>"}})
			case pages.DoSite:
				reply.Data, _ = json.Marshal(pages.Done{Text: m.Args["origin"]})
			default:
				reply.Text = "non ora"
			}
			_ = frame.WriteJSON(toWindow, reply)
		}
	}()
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	if body := call(h, "GET", "/", "").Body.String(); !strings.Contains(body, "&lt;script&gt;x") || strings.Contains(body, `type="password"`) {
		t.Errorf("%s", body)
	}
	if body := call(h, "GET", "/hand/doctor", "").Body.String(); !strings.Contains(body, "non ora") {
		t.Errorf("what the agent says: %s", body)
	}
	if r := call(h, "GET", "/hand/../secrets", ""); r.Code == http.StatusOK {
		t.Errorf("%d", r.Code)
	}
	if r := call(h, "POST", "/do/site", `{"origin":"https://a.example"}`); r.Code != http.StatusConflict {
		t.Errorf("at once: %d", r.Code)
	}
	call(h, "POST", "/painted", "")
	time.Sleep(520 * time.Millisecond)
	if r := call(h, "POST", "/do/site", `{"origin":"https://a.example"}`); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), "a.example") {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if r := call(h, "POST", "/do/other", `{}`); r.Code != http.StatusUnprocessableEntity || r.Body.String() != "non ora\n" {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	for _, path := range []string{"/secrets", "/answer?certificate=aa", "/next", "/refuse"} {
		if r := call(h, "POST", path, "24680"); r.Code == http.StatusOK {
			t.Errorf("%s: %d", path, r.Code)
		}
	}
	go func() { _ = frame.WriteJSON(toWindow, frame.Message{Type: frame.Page, Name: pages.Doctor}) }()
	<-raised
	if body := call(h, "GET", "/state?after=1", "").Body.String(); !strings.Contains(body, `"page":"doctor"`) {
		t.Errorf("%s", body)
	}
}
