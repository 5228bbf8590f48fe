package doctor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/config"
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
		return card.Found{Reader: card.Reader{Name: "R (SN12) 00 00", State: s}, Kind: kind, Number: "6090000000000017"}
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
		"ports": {doctor.Patient{Cards: found(), Ports: []int{taken}}, map[string]doctor.State{"ports": doctor.Bad, "window": doctor.Note}},
		"a service that stopped": {doctor.Patient{Cards: func(context.Context) ([]card.Found, error) { return nil, signing.ErrNoService },
			Service: func(context.Context) doctor.Service { return doctor.ServiceStopped }}, map[string]doctor.State{"service-stopped": doctor.Bad}},
		"a service that refuses": {doctor.Patient{Cards: func(context.Context) ([]card.Found, error) { return nil, signing.ErrNoService },
			Service: func(context.Context) doctor.Service { return doctor.ServiceRefused }}, map[string]doctor.State{"service-refused": doctor.Bad}},
		"no service installed": {doctor.Patient{Cards: func(context.Context) ([]card.Found, error) { return nil, signing.ErrNoService },
			Service: func(context.Context) doctor.Service { return doctor.ServiceMissing }}, map[string]doctor.State{"service-missing": doctor.Bad}},
		"broken card":           {doctor.Patient{Cards: found(card.Found{Reader: card.Reader{Name: "R", State: card.Present}, Kind: card.KindUnknown, Err: signing.ErrCardFailed})}, map[string]doctor.State{"card-unread": doctor.Bad}},
		"a module for it":       {doctor.Patient{Cards: found(in(card.Present, card.KindUnknown)), Modules: []string{"/lib/gone.so"}}, map[string]doctor.State{"card-module": doctor.Note, "module-gone": doctor.Bad}},
		"own agent":             {doctor.Patient{Cards: found(), Ports: []int{taken}, Owner: owner(doctor.Owner{Program: "citel-agent", Agent: true})}, map[string]doctor.State{"agent": doctor.Good}},
		"another user's":        {doctor.Patient{Cards: found(), Ports: []int{taken}, Owner: owner(doctor.Owner{Other: true})}, map[string]doctor.State{"ports": doctor.Bad, "port-other-user": doctor.Note}},
		"a program's":           {doctor.Patient{Cards: found(), Ports: []int{taken}, Owner: owner(doctor.Owner{Program: "nginx"})}, map[string]doctor.State{"ports": doctor.Bad, "port-taken": doctor.Note}},
		"the clock is early":    {doctor.Patient{Cards: found(), Clock: doctor.Clock{Built: time.Now().AddDate(1, 0, 0)}}, map[string]doctor.State{"clock-early": doctor.Bad}},
		"the clock is off":      {doctor.Patient{Cards: found(), Clock: doctor.Clock{Server: server(10 * time.Minute)}}, map[string]doctor.State{"clock-off": doctor.Bad}},
		"the clock is right":    {doctor.Patient{Cards: found(), Clock: doctor.Clock{Server: server(10 * time.Second)}}, map[string]doctor.State{"clock-server": doctor.Good}},
		"nobody sets the clock": {doctor.Patient{Cards: found(), Clock: doctor.Clock{Synced: func(context.Context) (bool, bool) { return false, true }}}, map[string]doctor.State{"clock-unsynced": doctor.Note}},
		"settings":              {doctor.Patient{Cards: found(), SettingsErr: errors.New("config: /home/rossi/.config/citel/settings.json: broken"), HistoryGaps: 1}, map[string]doctor.State{"settings": doctor.Bad, "history": doctor.Note}},
		"certificates":          {doctor.Patient{Cards: found(in(card.Present, card.KindCNS)), Certificates: certificates(time.Hour*24*30, -time.Hour)}, map[string]doctor.State{"certificate-soon": doctor.Note, "certificate-expired": doctor.Bad, "certificate-after-pin": doctor.Note}},
		"browsers": {doctor.Patient{Cards: found(), Root: fstest.MapFS{"usr/lib/firefox-esr/firefox-esr": {}, "snap/firefox/current": {}}, Home: fstest.MapFS{".local/share/flatpak/app/com.google.Chrome": {}}},
			map[string]doctor.State{"browser": doctor.Good, "browser-snap": doctor.Note, "browser-flatpak": doctor.Note}},
		"policy": {doctor.Patient{Cards: found(), Root: blocked}, map[string]doctor.State{"policy": doctor.Bad}},
		"others": {doctor.Patient{Cards: found(held), Programs: func() []card.Program {
			return []card.Program{{Name: "scdaemon"}, {Name: "gsd-smartcard", Other: true}, {Name: "firefox", OpenSC: true}, {Name: "dikegosign"}}
		}}, map[string]doctor.State{"program-scdaemon": doctor.Bad, "program-gnome": doctor.Note, "program-opensc": doctor.Bad, "program": doctor.Bad}},
		"OpenSC on a CIE": {doctor.Patient{Cards: found(in(card.Present, card.KindCIE)), Programs: func() []card.Program { return []card.Program{{Name: "firefox", OpenSC: true}} }},
			map[string]doctor.State{"program-opensc-cie": doctor.Bad}},
	} {
		p := c.p
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
				for _, secret := range []string{"6090000000000017", "rossi", "SN12"} {
					if strings.Contains(v, secret) {
						t.Errorf("%s: %s=%s tells %s", name, k, v, secret)
					}
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

func owner(o doctor.Owner) func(int) doctor.Owner { return func(int) doctor.Owner { return o } }

func server(off time.Duration) func(context.Context) (time.Time, time.Time, error) {
	return func(context.Context) (time.Time, time.Time, error) {
		now := time.Now()
		return now, now.Add(off), nil
	}
}

// certificates end after these times; a CIE whose is not known comes last.
func certificates(ends ...time.Duration) func(context.Context) ([]signing.Identity, error) {
	return func(context.Context) ([]signing.Identity, error) {
		var list []signing.Identity
		for _, d := range ends {
			list = append(list, signing.Identity{Kind: card.KindCNS, Certificate: &x509.Certificate{NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(d)}})
		}
		return append(list, signing.Identity{Kind: card.KindCIE}), nil
	}
}

// What is done can be taken back, and nothing is lost.
func TestCures(t *testing.T) {
	store := config.Open(t.TempDir())
	var ran []string
	b := &doctor.Bench{Store: store, Dir: t.TempDir(), Run: func(_ context.Context, name string, args ...string) error {
		ran = append(ran, name+" "+strings.Join(args, " "))
		return nil
	}}
	there, gone := filepath.Join(t.TempDir(), "there.so"), "/gone/module.so"
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Change(func(v *config.Settings) { v.Modules = []config.Module{{Path: gone, Name: "G"}, {Path: there}} }); err != nil {
		t.Fatal(err)
	}
	modules := func() int {
		v, err := store.Settings()
		if err != nil {
			t.Fatal(err)
		}
		return len(v.Modules)
	}
	do := func(f func(context.Context, string) error, id string) {
		t.Helper()
		if err := f(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	do(b.Cure, doctor.CureDropModules)
	if modules() != 1 {
		t.Error("not dropped")
	}
	do(b.Undo, doctor.CureDropModules)
	if modules() != 2 {
		t.Error("not put back")
	}
	if err := b.Undo(t.Context(), doctor.CureDropModules); !errors.Is(err, doctor.ErrCure) {
		t.Errorf("undone twice: %v", err)
	}
	if err := os.WriteFile(store.SettingsFile(), []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(b.Cure, doctor.CureResetSettings)
	if modules() != 0 {
		t.Error("no new settings")
	}
	do(b.Undo, doctor.CureResetSettings)
	if text, err := os.ReadFile(store.SettingsFile()); err != nil || string(text) != "{broken" {
		t.Errorf("%q %v", text, err)
	}
	if err := b.Cure(t.Context(), "rm -rf"); !errors.Is(err, doctor.ErrCure) {
		t.Errorf("%v", err)
	}
	for _, c := range b.Cures() {
		for _, key := range []string{"doctor.cure-" + c.ID, "doctor.cure-" + c.ID + "-changes"} {
			if !message.Has(key) {
				t.Errorf("%s: no sentence", key)
			}
		}
	}
	do(b.Cure, doctor.CureEndScdaemon)
	do(b.Cure, doctor.CureStartService)
	do(b.Undo, doctor.CureStartService)
	if want := []string{"gpgconf --kill scdaemon", "systemctl start pcscd.socket", "systemctl stop pcscd.socket pcscd.service"}; !slices.Equal(ran, want) {
		t.Errorf("%q", ran)
	}
}
