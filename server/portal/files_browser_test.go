package portal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/chromium"
)

// The pages of an application and of the own area, in a real browser: on a desk's and on a
// phone's width, without a mouse, for axe-core.
func TestFilesInABrowser(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	school := d.Operator("prova", 5, "R20")
	v := d.visitor()
	v.card(1)
	d.wrote(d.at(1))
	if _, err := d.Applications.Start(t.Context(), d.at(1), "iscrizione-nido"); err != nil {
		t.Fatal(err)
	}
	at := "/pratiche/" + a.ID
	b := d.screen(v)
	look := func(path, name string) {
		t.Helper()
		b.Open(path, "h1")
		b.Check(name)
	}
	look(at, "pratica-inviata")
	d.more(b.Context, school, a.ID)
	look("/area", "area")
	look(at, "pratica-integrazione")
	d.Publish(6)
	told := d.Applies(d.WithCard(d.at(1).Person, "genitore@example.org"))
	reasons := "Il marciapiede davanti al numero 12 è largo 1,80 m.\n\nIl regolamento ne vuole 2,00 liberi per chi passa."
	if err := d.Applications.GiveNotice(t.Context(), d.Operator("prova", 8, "R12"), told.ID, reasons); err != nil {
		t.Fatal(err)
	}
	look("/pratiche/"+told.ID, "pratica-motivi")
	if err := d.Applications.Observe(t.Context(), d.at(1), told.ID, "Ho misurato 2,10 m: allego la pianta."); err != nil {
		t.Fatal(err)
	}
	look("/pratiche/"+told.ID, "pratica-osservazioni")
	for path, name := range map[string]string{"/pratiche": "pratiche", at + "/ritira": "ritira", "/verifica-ricevuta": "sigillo", "/area/messaggi": "messaggi", "/area/accessi": "accessi"} {
		look(path, name)
	}

	// By keyboard alone: three stars, why, and sent.
	b.Open(at, "#star-1")
	chromium.Do(b, "focus", chromium.Focus("#star-1"))
	for _, key := range []string{" ", kb.ArrowRight, kb.ArrowRight} {
		chromium.Do(b, "key", chromedp.KeyEvent(key))
	}
	if n := chromium.Do(b, "stars", chromedp.Evaluate[string](`document.querySelector("input[name=stars]:checked").value`)); n != "3" {
		t.Errorf("the keys choose %s stars", n)
	}
	b.Wait(".rate-negative")
	if shown := chromium.Do(b, "other question", chromedp.Evaluate[bool](`document.querySelector(".rate-positive").checkVisibility()`)); shown {
		t.Error("both questions are shown")
	}
	b.Check("valuta")
	chromium.Do(b, "focus", chromium.Focus("#star-3"))
	chromium.Do(b, "key", chromedp.KeyEvent(kb.Tab))
	chromium.Do(b, "key", chromedp.KeyEvent(" "))
	chromium.Do(b, "key", chromedp.KeyEvent(kb.Tab))
	chromium.Do(b, "key", chromedp.KeyEvent("Lungo\r"))
	chromium.Do(b, "thanks", chromium.Until(`[...document.querySelectorAll("h2")].some((e) => e.textContent.includes("Grazie") && e.checkVisibility())`))
	all, err := d.Ratings.Counts(t.Context(), d.Operator("prova", 7, "R12"))
	if err != nil || len(all) != 1 || all[0].Stars[2] != 1 || len(all[0].Aspects) != 1 {
		t.Errorf("%+v %v", all, err)
	}
}

// more is the desk's side between two looks.
func (d *desk) more(ctx context.Context, school role.Actor, id string) {
	d.t.Helper()
	d.Move(time.Minute)
	err := errors.Join(d.Applications.Take(ctx, school, id), d.Applications.Write(ctx, school, id, "Buongiorno, abbiamo cominciato a leggere la domanda."),
		d.Applications.More(ctx, school, id, "Manca il certificato del pediatra.\nPuoi allegarlo da questa pagina."))
	if err != nil {
		d.t.Fatal(err)
	}
}
