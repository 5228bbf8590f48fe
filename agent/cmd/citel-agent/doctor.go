package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
)

// settle is how long a bus of readers may take to be seen.
const settle = 500 * time.Millisecond

func doctorCommand(lang message.Lang) *cobra.Command {
	var c common
	var asJSON, report, yes bool
	var cure, undo string
	var ports []int
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: message.Text(lang, "command.doctor-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := c.openAnyway()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			if cure != "" || undo != "" {
				return c.mend(cmd, s, cure, undo, yes)
			}
			<-s.watcher.Ready()
			time.Sleep(settle)
			p := s.patient(ports)
			p.Clock.Now = c.tester.now(p.Clock.Now)
			checks := p.Examine(cmd.Context())
			switch {
			case asJSON:
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"version": version.Version, "checks": checks})
			case report:
				_, err = io.WriteString(cmd.OutOrStdout(), doctor.Report(c.lang, checks))
			default:
				err = printChecks(cmd.OutOrStdout(), c.lang, s.bench(), checks)
			}
			switch {
			case err != nil:
				return exit(command.InputOutput, err)
			case doctor.CountBad(checks) > 0:
				return exit(command.Unavailable, errors.New(message.Text(c.lang, "command.doctor-bad")))
			}
			return nil
		},
	}
	c.register(cmd, lang)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	f.BoolVar(&report, "report", false, message.Text(lang, "doctor.flag-report"))
	f.StringVar(&cure, "cure", "", message.Text(lang, "doctor.flag-cure"))
	f.StringVar(&undo, "undo", "", message.Text(lang, "doctor.flag-undo"))
	f.BoolVar(&yes, "yes", false, message.Text(lang, "doctor.flag-yes"))
	f.IntSliceVar(&ports, "port", wire.Ports, message.Text(lang, "command.port"))
	cmd.MarkFlagsMutuallyExclusive("json", "report", "cure", "undo")
	return cmd
}

// patient is this computer, for this user.
func (s *setup) patient(ports []int) *doctor.Patient {
	native := s.native
	if native == nil {
		native = card.NewNative(s.watcher)
	}
	p := &doctor.Patient{Cards: native.Cards, Certificates: native.Identities, Programs: card.Programs, Service: doctor.PCSC,
		SettingsErr: s.settingsErr, Ports: ports, Owner: doctor.PortOwner, Window: windowProgram(), Root: os.DirFS("/"),
		Clock: doctor.Clock{Now: time.Now, Built: built(), Server: s.serverTime, Synced: synced}}
	if home, err := os.UserHomeDir(); err == nil {
		p.Home = os.DirFS(home)
	}
	now, err := s.store.Settings()
	if p.SettingsErr = err; err == nil {
		for _, m := range now.Modules {
			p.Modules = append(p.Modules, m.Path)
		}
	}
	if log, err := s.history.Read(); err == nil {
		p.HistoryGaps = len(log.Gaps)
	}
	return p
}

func (s *setup) bench() *doctor.Bench {
	return &doctor.Bench{Store: s.store, Dir: s.state, Run: doctor.Run}
}

// written is a day on which this program's source was there already.
var written = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

// built is a time at which this program was there already: as the compiler noted it,
// as its package did, or as its source says.
func built() time.Time {
	at := written
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range info.Settings {
			if t, err := time.Parse(time.RFC3339, kv.Value); kv.Key == "vcs.time" && err == nil && t.After(at) {
				at = t
			}
		}
	}
	if exe, err := os.Executable(); err == nil {
		if st, err := os.Stat(exe); err == nil && st.ModTime().After(at) {
			at = st.ModTime()
		}
	}
	return at
}

// serverTime asks a site that the person trusts for its time (RFC 9110, 6.6.1, Date).
// Nothing of the person goes there.
func (s *setup) serverTime(ctx context.Context) (server, local time.Time, err error) {
	sites, err := s.store.Sites()
	if err != nil {
		return server, local, err
	}
	for i := len(sites) - 1; i >= 0; i-- {
		if sites[i].Decision != config.Remembered || !strings.HasPrefix(sites[i].Origin, "https://") {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, sites[i].Origin+"/", nil)
		if err != nil {
			return server, local, err
		}
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(req)
		if err != nil {
			return server, local, err
		}
		local = time.Now()
		_ = resp.Body.Close()
		server, err = http.ParseTime(resp.Header.Get("Date"))
		return server, local, err
	}
	return server, local, errors.New("no site is remembered")
}

// synced asks systemd whether the time comes from the network.
func synced(ctx context.Context) (yes, known bool) {
	if runtime.GOOS != "linux" {
		return false, false
	}
	out, err := exec.CommandContext(ctx, "timedatectl", "show", "--property=NTPSynchronized", "--value").Output()
	if err != nil {
		return false, false
	}
	return strings.TrimSpace(string(out)) == "yes", true
}

func printChecks(w io.Writer, lang message.Lang, b *doctor.Bench, checks []doctor.Check) error {
	for _, x := range checks {
		if _, err := fmt.Fprintf(w, "%-14s %s\n", message.Text(lang, "doctor."+string(x.State)), x.Text(lang)); err != nil {
			return err
		}
		for _, id := range x.Cures {
			if !b.Offered(id) {
				continue
			}
			if _, err := fmt.Fprintln(w, message.Text(lang, "doctor.cure-hint", "id", id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mend does a cure, or takes one back, after saying what it changes.
func (c *common) mend(cmd *cobra.Command, s *setup, cure, undo string, yes bool) error {
	b, id := s.bench(), cure
	if undo != "" {
		id = undo
	}
	if !b.Offered(id) {
		return exit(command.Usage, errors.New(message.Text(c.lang, "doctor.cure-none", "id", id)))
	}
	w := cmd.ErrOrStderr()
	name := message.Text(c.lang, "doctor.cure-"+id)
	if undo != "" {
		name = message.Text(c.lang, "doctor.undo", "cure", name)
	}
	_, _ = fmt.Fprintf(w, "%s\n%s\n", name, message.Text(c.lang, "doctor.cure-"+id+"-changes"))
	if !yes {
		_, _ = fmt.Fprint(w, message.Text(c.lang, "doctor.cure-ask")+" ")
		line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 100)).ReadString('\n')
		if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "s" && answer != "sì" && answer != "si" && answer != "y" && answer != "yes" {
			return exit(command.Invalid, nil)
		}
	}
	var err error
	if undo != "" {
		err = b.Undo(cmd.Context(), id)
	} else {
		err = b.Cure(cmd.Context(), id)
	}
	if err != nil {
		return exit(command.Unavailable, err)
	}
	_, _ = fmt.Fprintln(w, message.Text(c.lang, "doctor.cure-done"))
	return nil
}
