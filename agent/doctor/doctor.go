package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/signing"
)

// Check is one thing that was looked at. It holds no personal data: a report goes
// to a help desk.
type Check struct {
	// ID is stable; the sentences of the catalogue are doctor.ID-STATE.
	ID    string `json:"id"`
	State State  `json:"state"`
	// Args fill the sentence.
	Args map[string]string `json:"args,omitempty"`
	// Cures are IDs of what can be done about it on a press (Cure).
	Cures []string `json:"cures,omitempty"`
}

// State of a check.
type State string

// States.
const (
	Good State = "good"
	Bad  State = "bad"  // and what to do about it
	Note State = "note" // worth knowing
)

// Patient is what is looked at. Fields that are nil are not looked at.
type Patient struct {
	// Cards lists readers and what is in them (card.Native).
	Cards func(ctx context.Context) ([]card.Found, error)
	// Certificates are those of the cards, as far as they are known without a PIN.
	Certificates func(ctx context.Context) ([]signing.Identity, error)
	// Programs are other programs that use PC/SC.
	Programs func() []card.Program
	// Service tells why PC/SC does not answer.
	Service func(ctx context.Context) Service
	// Modules are PKCS#11 modules of the settings; SettingsErr is why those cannot be
	// read.
	Modules     []string
	SettingsErr error
	// HistoryGaps is how many places of the history do not hold.
	HistoryGaps int
	Ports       []int
	// Owner tells whose a port is.
	Owner func(port int) Owner
	// Window is citel-window's path, empty without one.
	Window string
	// Root is the system's files, Home the person's.
	Root, Home fs.FS
	Clock      Clock
}

// Examine looks at everything, in the order in which a card reaches a page. Nothing
// of what it gives names a person.
func (p *Patient) Examine(ctx context.Context) []Check {
	list := p.readers(ctx)
	list = append(list, p.clock(ctx)...)
	list = append(list, p.settings()...)
	list = append(list, p.ports(ctx)...)
	window := Check{ID: "window", State: Good}
	if p.Window == "" {
		window.State = Note
	}
	list = append(list, window)
	list = append(list, p.browsers()...)
	list = append(list, p.policies()...)
	for _, c := range list {
		for k, v := range c.Args {
			c.Args[k] = scrub(v)
		}
	}
	return list
}

// readers looks at the service, the readers, their cards and who else uses them.
func (p *Patient) readers(ctx context.Context) []Check {
	found, err := p.Cards(ctx)
	if errors.Is(err, signing.ErrNoService) {
		c := Check{ID: "service", State: Bad}
		if p.Service != nil {
			switch p.Service(ctx) {
			case ServiceMissing:
				c.ID = "service-missing"
			case ServiceStopped:
				c.ID, c.Cures = "service-stopped", []string{CureStartService}
			case ServiceRefused:
				c.ID = "service-refused"
			}
		}
		return []Check{c}
	}
	list := []Check{{ID: "service", State: Good}}
	if len(found) == 0 {
		return append(list, Check{ID: "reader", State: Bad})
	}
	held, cieThere := false, false
	for _, f := range found {
		c := Check{ID: "card", State: Good, Args: map[string]string{"reader": readerName(f.Name), "kind": strings.ToUpper(f.Kind)}}
		busy := f.Exclusive || errors.Is(f.Err, signing.ErrCardBusy)
		held, cieThere = held || busy, cieThere || f.Kind == card.KindCIE
		switch {
		case busy:
			c.ID, c.State = "card-held", Bad
		case f.State == card.Empty:
			c.ID, c.State = "card-none", Note
		case f.State == card.Mute:
			c.ID, c.State = "card-mute", Bad
		case f.Err != nil && !errors.Is(f.Err, signing.ErrCardUnknown):
			c.ID, c.State = "card-unread", Bad
		case f.Kind == card.KindUnknown && len(p.Modules) > 0:
			c.ID, c.State = "card-module", Note
		case f.Kind == card.KindUnknown:
			c.ID, c.State = "card-unknown", Note
		}
		list = append(list, c)
	}
	return append(append(list, p.programs(held, cieThere)...), p.certificates(ctx)...)
}

// programs names who else uses cards. held: one of them keeps a card for itself.
func (p *Patient) programs(held, cieThere bool) []Check {
	if p.Programs == nil {
		return nil
	}
	var list []Check
	for _, x := range p.Programs() {
		c := Check{ID: "program", State: Note, Args: map[string]string{"program": x.Name}}
		switch {
		case x.Name == "scdaemon":
			c.ID = "program-scdaemon"
			if !x.Other {
				c.Cures = []string{CureEndScdaemon}
			}
		case x.Name == "gsd-smartcard":
			c.ID = "program-gnome"
		case x.OpenSC && cieThere:
			// OpenSC asks a CIE again and again, and other programs wait for it.
			c.ID, c.State = "program-opensc-cie", Bad
		case x.OpenSC:
			c.ID = "program-opensc"
		}
		if held && !x.Other {
			c.State = Bad
		}
		list = append(list, c)
	}
	return list
}

// expirySoon is when a certificate's end is spoken of, in days.
const expirySoon = 60

func (p *Patient) certificates(ctx context.Context) []Check {
	if p.Certificates == nil {
		return nil
	}
	ids, err := p.Certificates(ctx)
	if err != nil {
		return nil // said of the card
	}
	var list []Check
	for _, id := range ids {
		c := Check{ID: "certificate", State: Good, Args: map[string]string{"kind": strings.ToUpper(id.Kind)}}
		if id.Certificate == nil {
			c.ID, c.State = "certificate-after-pin", Note
			list = append(list, c)
			continue
		}
		days := int(id.Certificate.NotAfter.Sub(p.now()).Hours() / 24)
		c.Args["date"], c.Args["n"] = id.Certificate.NotAfter.Format("02/01/2006"), strconv.Itoa(days)
		switch {
		case p.now().Before(id.Certificate.NotBefore):
			c.ID, c.State, c.Args["date"] = "certificate-early", Bad, id.Certificate.NotBefore.Format("02/01/2006")
		case p.now().After(id.Certificate.NotAfter):
			c.ID, c.State = "certificate-expired", Bad
		case days <= expirySoon:
			c.ID, c.State = "certificate-soon", Note
		}
		list = append(list, c)
	}
	return list
}

// settings looks at what the person, or an update of a maker's program, left behind.
func (p *Patient) settings() []Check {
	var list []Check
	if p.SettingsErr != nil {
		list = append(list, Check{ID: "settings", State: Bad, Cures: []string{CureResetSettings}, Args: map[string]string{"error": p.SettingsErr.Error()}})
	}
	for _, name := range p.Modules {
		if _, err := fs.Stat(p.Root, strings.TrimPrefix(filepath.ToSlash(name), "/")); errors.Is(err, fs.ErrNotExist) {
			list = append(list, Check{ID: "module-gone", State: Bad, Cures: []string{CureDropModules}, Args: map[string]string{"module": name}})
		}
	}
	if p.HistoryGaps > 0 {
		list = append(list, Check{ID: "history", State: Note})
	}
	return list
}

// policies are what an administrator told the browsers.
func (p *Patient) policies() []Check {
	policies, err := BrowserPolicies(p.Root)
	var list []Check
	if err != nil {
		list = append(list, Check{ID: "policy-unread", State: Note, Args: map[string]string{"error": fmt.Sprint(err)}})
	}
	for _, b := range policies {
		c := Check{ID: "policy", State: Note, Args: map[string]string{"browser": b.Browser, "file": b.File, "allowed": strings.Join(b.Allowed, ", "), "blocked": strings.Join(b.Blocked, ", ")}}
		if len(b.Blocked) > 0 {
			c.State = Bad
		}
		list = append(list, c)
	}
	return list
}
