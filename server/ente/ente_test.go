package ente_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/town"
)

// A new ente lets citizens in with the card alone; the switch says why and since when.
func TestTheLawOfToday(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		all, err := tn.Enti.Switches(t.Context(), "altro")
		if err != nil || len(all) != 6 {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, s := range all {
			if s.Enabled != (s.Category != ente.Citizen) || s.Reason != ente.ReasonLaw || s.Since.IsZero() {
				t.Errorf("%+v", s)
			}
		}
		demo, err := tn.Enti.Switches(t.Context(), "prova")
		for _, s := range demo {
			if err != nil || !s.Enabled || s.Reason != ente.ReasonDemo {
				t.Errorf("%+v, %v", s, err)
			}
		}
		a := tn.Operator("altro", 5, "R6")
		tn.Move(time.Hour)
		s := ente.Switch{Credential: ente.Media, Category: ente.Citizen, Enabled: true, Reason: "delibera 1/2026"}
		if err := tn.Enti.SetSwitch(t.Context(), a, "altro", s); err != nil {
			t.Fatal(err)
		}
		if on, err := tn.Enti.Lets(t.Context(), "altro", ente.Media, ente.Citizen); !on || err != nil {
			t.Errorf("%v, %v", on, err)
		}
		all, err = tn.Enti.Switches(t.Context(), "altro")
		if err != nil || all[3].Reason != s.Reason || !all[3].Since.Equal(tn.Today()) {
			t.Errorf("%+v, %v", all, err)
		}
		for name, c := range map[string]struct{ err, want error }{
			"no reason":  {tn.Enti.SetSwitch(t.Context(), a, "altro", ente.Switch{Credential: ente.Media, Category: ente.Citizen}), ente.ErrInvalid},
			"forte":      {tn.Enti.SetSwitch(t.Context(), a, "altro", ente.Switch{Credential: "forte", Category: ente.Citizen, Reason: "x"}), ente.ErrInvalid},
			"elsewhere":  {tn.Enti.SetSwitch(t.Context(), a, "prova", s), role.ErrDenied},
			"no right":   {tn.Enti.SetSwitch(t.Context(), tn.Operator("altro", 6, "R9", "R8"), "prova", s), role.ErrDenied},
			"accepts":    {tn.Enti.SetAccepts(t.Context(), a, "altro", "nessuno", true), ente.ErrNotFound},
			"itself":     {tn.Enti.SetAccepts(t.Context(), a, "altro", "altro", false), ente.ErrInvalid},
			"own origin": {tn.Enti.Place(t.Context(), a, "altro", "", "https://altro.example", true), role.ErrDenied},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if on, err := tn.Enti.Lets(t.Context(), "nessuno", ente.Media, ente.Company); on || err != nil {
			t.Errorf("an ente that is not there: %v, %v", on, err)
		}
	})
}

// The catalogue: ten examples, off, marked, found by slug and idEnte.
func TestCatalogue(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		if err := errors.Join(tn.Enti.FillCatalogue(t.Context()), tn.Enti.FillCatalogue(t.Context())); err != nil {
			t.Fatal(err)
		}
		all, err := tn.Enti.List(t.Context(), false)
		if err != nil || len(all) != 12 {
			t.Fatalf("%d enti, %v", len(all), err)
		}
		examples := 0
		for _, e := range all {
			if !e.Example {
				continue
			}
			examples++
			if e.Active || e.HasArms || (e.IDEnte != "") != (e.Code == "pisa") {
				t.Errorf("%+v", e)
			}
		}
		if examples != 10 {
			t.Errorf("%d examples", examples)
		}
		for name, want := range map[string]string{"COPI": "pisa", "copi": "pisa", "pisa": "pisa", "Pisa": "pisa", "DEMO": "prova", "san-miniato": "san-miniato"} {
			if e, err := tn.Enti.Find(t.Context(), name); err != nil || e.Code != want {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
		}
		for _, name := range []string{"", "x", "%", "COPI' OR '1'='1"} {
			if _, err := tn.Enti.Find(t.Context(), name); !errors.Is(err, ente.ErrNotFound) {
				t.Errorf("%q: %v", name, err)
			}
		}
		active, err := tn.Enti.ByOrigin(t.Context(), "http://127.0.0.1:8480", "http://127.0.0.1:8480")
		if err != nil || len(active) != 2 {
			t.Errorf("%+v, %v", active, err)
		}
	})
}

func picture(t *testing.T, w, h int, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.NRGBA{R: 200, G: uint8(x), A: 255})
		}
	}
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Arms are raster images, written anew: nothing that came with them stays.
func TestArms(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		a := tn.Operator("prova", 5, "R6")
		encodePNG := func(b *bytes.Buffer, i image.Image) error { return png.Encode(b, i) }
		for name, data := range map[string][]byte{
			"png": picture(t, 1000, 600, encodePNG), "jpeg": picture(t, 64, 64, func(b *bytes.Buffer, i image.Image) error { return jpeg.Encode(b, i, nil) }),
			"gif": picture(t, 32, 20, func(b *bytes.Buffer, i image.Image) error { return gif.Encode(b, i, nil) }),
			// What hides behind a picture is gone.
			"polyglot": append(picture(t, 64, 64, encodePNG), "<script>alert(1)</script>"...),
		} {
			if err := tn.Enti.SetArms(t.Context(), a, "prova", data); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kept, err := tn.Enti.Arms(t.Context(), "prova")
			if err != nil || bytes.Contains(kept, []byte("script")) {
				t.Errorf("%s: %v", name, err)
			}
			c, format, err := image.DecodeConfig(bytes.NewReader(kept))
			if err != nil || format != "png" || max(c.Width, c.Height) > 512 || c.Width < c.Height {
				t.Errorf("%s: %+v %s %v", name, c, format, err)
			}
		}
		// A small file that says it is huge is not even decoded.
		bomb := picture(t, 64, 64, encodePNG)
		copy(bomb[16:24], []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff})
		for name, data := range map[string][]byte{
			"svg": []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), "empty": nil, "huge": make([]byte, ente.MaxArms+1), "tiny": picture(t, 4, 4, encodePNG), "bomb": bomb,
			"cut": picture(t, 64, 64, encodePNG)[:60],
		} {
			if err := tn.Enti.SetArms(t.Context(), a, "prova", data); !errors.Is(err, ente.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := tn.Enti.SetArms(t.Context(), a, "altro", picture(t, 64, 64, encodePNG)); !errors.Is(err, role.ErrDenied) {
			t.Errorf("%v", err)
		}
		if _, err := tn.Enti.Arms(t.Context(), "altro"); !errors.Is(err, ente.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestUpdate(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		a := tn.Operator("prova", 5, "R6")
		e, err := tn.Enti.Get(t.Context(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*ente.Ente){
			"light": func(e *ente.Ente) { e.Color = "#ffcc00" }, "colour": func(e *ente.Ente) { e.Color = "red; }" }, "no name": func(e *ente.Ente) { e.Name = " " },
			"site": func(e *ente.Ente) { e.Site = "javascript:alert(1)" }, "ipa": func(e *ente.Ente) { e.IPA = "a b" }, "hash": func(e *ente.Ente) { e.Color = "#" },
		} {
			x := *e
			change(&x)
			if err := tn.Enti.Update(t.Context(), a, x); !errors.Is(err, ente.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		x := *e
		x.Color, x.IPA, x.Origin, x.IDEnte, x.Active = "#0066cc", "c_x000", "https://evil.example", "EVIL", false
		if err := tn.Enti.Update(t.Context(), a, x); err != nil {
			t.Fatal(err)
		}
		got, err := tn.Enti.Get(t.Context(), "prova")
		if err != nil || got.Color != x.Color || got.Origin != e.Origin || got.IDEnte != e.IDEnte || !got.Active {
			t.Errorf("%+v, %v", got, err)
		}
		o := ente.Office{Name: "URP", Email: "urp@example.org", Hours: "lun-ven 9-13"}
		if err := tn.Enti.SaveOffice(t.Context(), a, "prova", o); err != nil {
			t.Fatal(err)
		}
		all, err := tn.Enti.Offices(t.Context(), "prova")
		if err != nil || len(all) != 1 || all[0].Hours != o.Hours {
			t.Fatalf("%+v, %v", all, err)
		}
		there := tn.Operator("altro", 6, "R6")
		all[0].Name = "preso"
		if err := tn.Enti.SaveOffice(t.Context(), there, "altro", all[0]); !errors.Is(err, ente.ErrNotFound) {
			t.Errorf("another ente's office by its id: %v", err)
		}
		if err := tn.Enti.DeleteOffice(t.Context(), there, "altro", all[0].ID); !errors.Is(err, ente.ErrNotFound) {
			t.Errorf("another ente's office by its id: %v", err)
		}
		day := time.Date(2026, 12, 8, 0, 0, 0, 0, time.UTC)
		if err := tn.Enti.SetClosed(t.Context(), a, "prova", day, "Immacolata"); err != nil {
			t.Fatal(err)
		}
		if days, err := tn.Enti.Calendar(t.Context(), "prova", day); err != nil || len(days) != 1 || !days[0].Day.Equal(day) {
			t.Errorf("%+v, %v", days, err)
		}
		if err := tn.Enti.SetClosed(t.Context(), a, "prova", day, ""); err != nil {
			t.Error(err)
		}
	})
}
