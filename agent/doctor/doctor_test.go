package doctor_test

import (
	"context"
	"net"
	"testing"
	"testing/fstest"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
)

func TestExamine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port
	found := func(list ...card.Found) func(context.Context) ([]card.Found, error) {
		return func(context.Context) ([]card.Found, error) { return list, nil }
	}
	in := func(s card.State, kind string) card.Found {
		return card.Found{Reader: card.Reader{Name: "R", State: s}, Kind: kind, Number: "6090000000000017"}
	}
	held := in(card.Present, card.KindCNS)
	held.Exclusive = true
	blocked := fstest.MapFS{"etc/chromium/policies/managed/a.json": {Data: []byte(`{"LoopbackNetworkBlockedForUrls":["*"]}`)}}
	for name, c := range map[string]struct {
		p    doctor.Patient
		want map[string]doctor.State
	}{
		"no service": {doctor.Patient{Cards: func(context.Context) ([]card.Found, error) { return nil, signing.ErrNoService }}, map[string]doctor.State{"service": doctor.Bad}},
		"no reader":  {doctor.Patient{Cards: found()}, map[string]doctor.State{"service": doctor.Good, "reader": doctor.Bad}},
		"cards": {doctor.Patient{Cards: found(in(card.Empty, ""), in(card.Mute, ""), in(card.Present, card.KindUnknown), in(card.Present, card.KindCIE), held), Window: "/x"},
			map[string]doctor.State{"card-none": doctor.Note, "card-mute": doctor.Bad, "card-unknown": doctor.Note, "card": doctor.Good, "card-held": doctor.Bad, "window": doctor.Good}},
		"ports":  {doctor.Patient{Cards: found(), Ports: []int{taken}}, map[string]doctor.State{"ports": doctor.Bad, "window": doctor.Note}},
		"policy": {doctor.Patient{Cards: found(), Root: blocked}, map[string]doctor.State{"policy": doctor.Bad}},
		"others": {doctor.Patient{Cards: found(), Holders: func() []string { return []string{"scdaemon"} }}, map[string]doctor.State{"others": doctor.Note}},
	} {
		p := c.p
		if p.Holders == nil {
			p.Holders = func() []string { return nil }
		}
		if p.Root == nil {
			p.Root = fstest.MapFS{}
		}
		got := map[string]doctor.State{}
		for _, x := range p.Examine(t.Context()) {
			got[x.ID] = x.State
			key := "doctor." + x.ID + "-" + string(x.State)
			var args []any
			for k, v := range x.Args {
				args = append(args, k, v)
				if v == "6090000000000017" {
					t.Errorf("%s: a card's number in a report", name)
				}
			}
			for _, lang := range []message.Lang{message.Italian, message.English} {
				if text := message.Text(lang, key, args...); text == key {
					t.Errorf("%s: no sentence", key)
				}
			}
		}
		for id, state := range c.want {
			if got[id] != state {
				t.Errorf("%s: %s is %q, want %q", name, id, got[id], state)
			}
		}
	}
}
