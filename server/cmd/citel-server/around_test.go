package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// What the flags give the rooms, and what is said where one is missing or wrong.
func TestAround(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	token, open := write("token", "x", 0o600), write("open", "x", 0o644)
	anchors, none := write("tsa.pem", string(pki.Shared(t).AnchorsPEM()), 0o600), write("none.pem", "", 0o600)
	place := town.New(t, storetest.New(t, store.SQLite))
	connect := func(f aroundFlags, withLists bool) (*server, string, error) {
		var log bytes.Buffer
		if f.bounds == (submission.Bounds{}) {
			f.bounds = submission.DefaultBounds
		}
		s := &server{flags: &serveFlags{data: dir, demo: true, around: f}, log: slog.New(slog.NewJSONHandler(&log, nil)), rooms: place.Rooms, trust: trust.NewStore(trust.AllowTest()), fetcher: &trust.Fetcher{}}
		if withLists {
			s.lists = &lists.Loader{}
		}
		s.rooms.Applications.Scanner, s.rooms.Mandates.Scanner, s.rooms.Applications.Outside, s.rooms.Seals.Stamp, s.rooms.Deposits.To = nil, nil, nil, nil, nil
		err := s.connect(nil)
		return s, log.String(), err
	}
	s, log, err := connect(aroundFlags{}, false)
	if err != nil || s.rooms.Applications.Scanner != nil || s.rooms.Mandates.Scanner != nil || len(s.rooms.Applications.Outside) > 0 || s.rooms.Seals.Stamp != nil ||
		s.rooms.Deposits.To != deposit.Folder(filepath.Join(dir, "conservazione")) || !strings.Contains(log, "NOT scanned") {
		t.Error(err, log)
	}
	s, log, err = connect(aroundFlags{scanner: "icap://127.0.0.1/avscan", deposit: "/srv/x", tsa: "http://tsa.example/", tsaTrust: []string{anchors},
		protocol: []string{"prova=https://protocollo.example/x"}, protocolSecret: []string{"prova=" + token}}, false)
	if _, ok := s.rooms.Applications.Scanner.(*attachment.ICAP); err != nil || !ok || s.rooms.Mandates.Scanner != s.rooms.Applications.Scanner || s.rooms.Deposits.To != deposit.Folder("/srv/x") || s.rooms.Seals.Stamp == nil ||
		s.rooms.Applications.Outside["prova"] == nil || strings.Contains(log, "NOT scanned") {
		t.Error(err, log)
	}
	if s, _, err = connect(aroundFlags{tsa: "http://tsa.example/"}, true); err != nil || s.rooms.Seals.Stamp == nil {
		t.Error(err)
	}
	for name, f := range map[string]aroundFlags{
		"--scanner: attachment: a scanner's address begins": {scanner: "http://x/y"},
		"no address of a TSA":                               {tsaTrust: []string{anchors}},
		"--tsa \"tsa.example\"":                             {tsa: "tsa.example"},
		"--tsa: name its issuers":                           {tsa: "http://tsa.example/"},
		"--tsa-trust " + none:                               {tsa: "http://tsa.example/", tsaTrust: []string{none}},
		"none-at-all.pem":                                   {tsa: "http://tsa.example/", tsaTrust: []string{dir + "/none-at-all.pem"}},
		"write ENTE=VALUE":                                  {protocol: []string{"https://x/"}},
		"each ente once":                                    {protocol: []string{"a=https://x/", "a=https://y/"}},
		"name its token":                                    {protocol: []string{"a=https://x/"}},
		"there is no --protocol":                            {protocolSecret: []string{"a=" + token}},
		"drafts of 30 to 730 days":                          {bounds: submission.Bounds{Messages: 10, Drafts: 29}},
		"0 messages or more":                                {bounds: submission.Bounds{Messages: -1, Drafts: 90}},
		"can be read by others":                             {protocol: []string{"a=https://x/"}, protocolSecret: []string{"a=" + open}},
		"write https://host/path":                           {protocol: []string{"a=http://x/"}, protocolSecret: []string{"a=" + token}},
	} {
		_, _, err := connect(f, false)
		var exit *command.ExitError
		if !errors.As(err, &exit) || exit.Code != command.Usage && exit.Code != command.InputOutput || !strings.Contains(err.Error()+exit.Err.Error(), name) && name != "no address of a TSA" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
