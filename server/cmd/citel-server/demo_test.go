package main

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/testdata/town"
)

// The demo's operators get in with the passwords that it prints and no longer with those
// of the start before; a server without --demo lets none of them in.
func TestDemoOperators(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		s := &server{flags: &serveFlags{demo: true, origin: "http://127.0.0.1:8480"}, rooms: w.Rooms}
		start := func() map[string]string {
			t.Helper()
			var out bytes.Buffer
			if err := s.demoOperators(t.Context(), &out, "prova"); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, m := range regexp.MustCompile(`(?m)^  (\S{16})  password (\S{12}) `).FindAllStringSubmatch(out.String(), -1) {
				got[m[1]] = m[2]
			}
			return got
		}
		login := func(code, password string) error {
			w.Move(time.Hour) // no delay
			b := w.Browser(w.Console)
			at, err := w.Console.StartAt(t.Context(), b.Writer(), "prova")
			if err != nil {
				t.Fatal(err)
			}
			next, _, err := w.Operators.Login(t.Context(), b.Writer(), at, "prova", code, []byte(password), "192.0.2.1:1")
			if err == nil && next != operator.In {
				t.Errorf("%s: still needs %s", code, next)
			}
			return err
		}
		first := start()
		second := start()
		if len(first) != len(demoPeople) || len(second) != len(demoPeople) {
			t.Fatal(first, second)
		}
		for _, p := range demoPeople {
			if err := login(p.code, second[p.code]); err != nil {
				t.Errorf("%s: %v", p.role, err)
			}
			if err := login(p.code, first[p.code]); !errors.Is(err, operator.ErrRefused) {
				t.Errorf("%s with the password of before: %v", p.role, err)
			}
		}
		s.flags.demo = false
		if got := start(); len(got) != 0 {
			t.Error("passwords without --demo:", got)
		}
		for _, p := range demoPeople {
			if err := login(p.code, second[p.code]); !errors.Is(err, operator.ErrRefused) {
				t.Errorf("%s without --demo: %v", p.role, err)
			}
		}
		if e, err := w.Enti.Get(t.Context(), "prova"); err != nil || !e.SecondFactor {
			t.Error("the second factor stays off", err)
		}
		s.flags.demo = true
		if third := start(); len(third) != len(demoPeople) {
			t.Error("not again:", third)
		}
	})
}
