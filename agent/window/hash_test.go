package window_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
)

func extensionAsk(purpose consent.Purpose) frame.View {
	return frame.View{Mode: frame.Ask, Lang: "it", Purpose: purpose, Caller: consent.Caller{Origin: "https://sportello.comune.example", Extension: true},
		Certificates: []consent.Certificate{{ID: "aa", Name: "Prova Cittadino", PIN: consent.PIN{TriesLeft: -1}}}}
}

// A certificate goes out without a PIN, and the page says what goes out.
func TestCertificateTakesNoPIN(t *testing.T) {
	out, h := open(t, extensionAsk(consent.PurposeCertificate))
	body := call(h, "GET", "/", "").Body.String()
	for _, want := range []string{"tramite l&#39;estensione", "il sito riceve il certificato", "Invia il certificato al sito"} {
		if !strings.Contains(body, want) {
			t.Errorf("without %q", want)
		}
	}
	if strings.Contains(body, `type="password"`) || strings.Contains(body, "Tentativi") {
		t.Error("a PIN is asked")
	}
	call(h, "POST", "/painted", "")
	time.Sleep(520 * time.Millisecond)
	if r := call(h, "POST", "/answer?certificate=aa", ""); r.Code != http.StatusOK {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if list, pins := out.frames(t); len(pins) != 0 || len(list) != 2 || list[1].Type != frame.Answer || list[1].Certificate != "aa" || list[1].PIN {
		t.Errorf("%+v %q", list, pins)
	}
}

// A bare hash is shown as what it is, with the PIN as for any signature.
func TestHashIsSaidToBeUnseen(t *testing.T) {
	view := extensionAsk(consent.PurposeHash)
	view.Hash = &consent.Hash{Function: "SHA-256", Value: []byte{0xab, 0xcd, 0xef}}
	_, h := open(t, view)
	body := call(h, "GET", "/", "").Body.String()
	for _, want := range []string{"SHA-256 abcdef", "non può mostrarti il documento", "Firma senza vedere", `type="password"`} {
		if !strings.Contains(body, want) {
			t.Errorf("without %q", want)
		}
	}
}
