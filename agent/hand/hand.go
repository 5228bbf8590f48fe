// Package hand is what a person has at hand between two signatures: the pages of the
// agent's own window, answered here, and what they ask to be done. It signs nothing,
// and no PIN comes this way.
package hand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/autostart"
	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
)

// Cards are the readers and what is in them (card.Native).
type Cards interface {
	Cards(ctx context.Context) ([]card.Found, error)
	Identities(ctx context.Context) ([]signing.Identity, error)
	PUKTries(id signing.Identity) int
	Personal(ctx context.Context, id signing.Identity) (card.Personal, error)
}

// Hand answers the window's calls. Its fields are set before the first.
type Hand struct {
	Lang      func() message.Lang
	Cards     Cards
	History   *history.Store
	Store     *config.Store
	Reminders *care.Reminders
	// Patient is this computer now; Bench has its cures.
	Patient func() *doctor.Patient
	Bench   *doctor.Bench
	// Care asks for PINs; it is called by one at a time.
	Care *care.Care
	// KnownModules are those found installed; CheckModule starts one and says whether
	// it works.
	KnownModules func() []string
	CheckModule  func(ctx context.Context, path string) error
	// About is version and address; Quit ends the agent.
	About func(message.Lang) string
	Quit  func()
	// Downloads is the folder that exports go to.
	Downloads func() (string, error)
	// Changed tells the window to look again.
	Changed func()

	asking chan struct{}
}

// New makes a Hand whose fields the caller fills in.
func New() *Hand {
	h := &Hand{asking: make(chan struct{}, 1)}
	h.asking <- struct{}{}
	return h
}

// lookTime bounds one look at the cards.
const lookTime = 20 * time.Second

func (h *Hand) text(key string, args ...any) string {
	return message.Text(h.Lang(), "hand."+key, args...)
}

// say is an error whose text the person reads.
func (h *Hand) say(key string, args ...any) error { return errors.New(h.text(key, args...)) }

// ErrCall is a call that nobody here answers.
var ErrCall = errors.New("hand: no such page or action")

// Call gives a page's data, or does what a page asks.
func (h *Hand) Call(ctx context.Context, name string, args map[string]string) (any, error) {
	switch name {
	case pages.Home:
		return h.home(ctx)
	case pages.History:
		return h.history()
	case pages.Card:
		return h.cards(ctx)
	case pages.Settings:
		return h.settings()
	case pages.Doctor:
		return h.doctor(ctx)
	}
	do, ok := map[string]func(context.Context, map[string]string) (pages.Done, error){
		pages.DoHistoryExport: h.export,
		pages.DoHistoryClear:  h.clear,
		pages.DoPINChange:     h.pin(consent.CareChange),
		pages.DoPINUnblock:    h.pin(consent.CareUnblock),
		pages.DoSite:          h.site,
		pages.DoLanguage:      h.language,
		pages.DoAutostart:     h.autostart,
		pages.DoModuleAdd:     h.moduleAdd,
		pages.DoModuleRemove:  h.moduleRemove,
		pages.DoCure:          h.cure,
		pages.DoUndo:          h.undo,
		pages.DoReport:        h.report,
		pages.DoQuit:          h.quit,
	}[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrCall, name)
	}
	return do(ctx, args)
}

func (h *Hand) home(ctx context.Context) (*pages.HomeData, error) {
	d := &pages.HomeData{Readers: []string{}, Alerts: []string{}, Last: []pages.Use{}, About: h.About(h.Lang())}
	d.State, d.Good, d.Readers = h.state(ctx)
	log, err := h.History.Read()
	if err != nil {
		return nil, err
	}
	if len(log.Gaps) > 0 {
		d.Alerts = append(d.Alerts, h.text("history-gaps"))
	}
	soon, err := h.Reminders.Soon(time.Now())
	if err != nil {
		return nil, err
	}
	for _, r := range soon {
		d.Alerts = append(d.Alerts, ReminderText(h.Lang(), r))
	}
	for i := len(log.Entries) - 1; i >= 0 && len(d.Last) < 3; i-- {
		d.Last = append(d.Last, h.use(&log.Entries[i]))
	}
	return d, nil
}

// ReminderText is the sentence about a certificate that ends.
func ReminderText(lang message.Lang, r care.Reminder) string {
	return message.Text(lang, "care.expires", "card", r.Card, "date", r.NotAfter.Local().Format("02/01/2006"), "n", r.Left)
}

// state says in one sentence what can be done now, and what is in each reader.
func (h *Hand) state(ctx context.Context) (state string, good bool, readers []string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	readers = []string{}
	found, err := h.Cards.Cards(ctx)
	switch {
	case errors.Is(err, signing.ErrNoService):
		return h.text("state-no-service"), false, readers
	case err != nil:
		return err.Error(), false, readers
	case len(found) == 0:
		return h.text("state-no-reader"), false, readers
	}
	key := "state-no-card"
	var names []string
	for _, f := range found {
		line := "reader-card"
		switch {
		case f.Exclusive || errors.Is(f.Err, signing.ErrCardBusy):
			line, key = "reader-busy", "state-busy"
		case f.State == card.Empty:
			line = "reader-empty"
		case f.State == card.Mute:
			line, key = "reader-mute", "state-mute"
		case f.Kind == card.KindUnknown:
			line, key = "reader-unknown", "state-unknown"
		default:
			names = append(names, CardName(f.Kind, f.Number))
		}
		readers = append(readers, h.text(line, "reader", f.Name, "card", CardName(f.Kind, f.Number)))
	}
	if names != nil {
		return h.text("state-card", "card", strings.Join(names, ", ")), true, readers
	}
	return h.text(key), false, readers
}

// CardName is a card's short name for people, "CNS …0017".
func CardName(kind, number string) string {
	if number == "" {
		return strings.ToUpper(kind)
	}
	return strings.ToUpper(kind) + " …" + number[max(0, len(number)-4):]
}

func (h *Hand) use(e *history.Entry) pages.Use {
	lang := h.Lang()
	return pages.Use{When: e.At.Local().Format("02/01/2006 15:04"), What: e.What(lang), Who: e.Who(lang), Card: e.CardName(),
		Digests: append([]string{}, e.Digests...), Outcome: e.Ended(lang), Good: e.Outcome == history.Done}
}

// shown is how many uses one page has.
const shown = 100

func (h *Hand) history() (*pages.HistoryData, error) {
	log, err := h.History.Read()
	if err != nil {
		return nil, err
	}
	d := &pages.HistoryData{Uses: []pages.Use{}, Total: len(log.Entries), Dropped: log.Dropped, Broken: len(log.Gaps) > 0}
	gaps := map[int]bool{}
	for _, g := range log.Gaps {
		gaps[g.N] = true
	}
	d.GapEnd = gaps[0]
	for i := len(log.Entries) - 1; i >= 0 && len(d.Uses) < shown; i-- {
		u := h.use(&log.Entries[i])
		u.Gap = gaps[log.Entries[i].N]
		d.Uses = append(d.Uses, u)
	}
	return d, nil
}

func (h *Hand) export(_ context.Context, args map[string]string) (pages.Done, error) {
	log, err := h.History.Read()
	if err != nil {
		return pages.Done{}, err
	}
	dir, err := h.Downloads()
	if err != nil {
		return pages.Done{}, err
	}
	write, suffix := log.CSV, "csv"
	if args["format"] == "json" {
		write, suffix = log.JSON, "json"
	}
	name := filepath.Join(dir, "citel-"+time.Now().Format("20060102-150405")+"."+suffix)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // a new file in the person's own folder
	if err != nil {
		return pages.Done{}, err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return pages.Done{}, err
	}
	return pages.Done{Text: h.text("exported", "file", name)}, nil
}

func (h *Hand) clear(context.Context, map[string]string) (pages.Done, error) {
	return pages.Done{Text: h.text("cleared")}, h.History.Clear()
}

func (h *Hand) site(_ context.Context, args map[string]string) (pages.Done, error) {
	origin := args["origin"]
	p, err := h.Store.Policy()
	if err != nil {
		return pages.Done{}, err
	}
	decision, key := config.Unknown, "site-forgotten"
	if args["decision"] == "block" {
		decision, key = config.Blocked, "site-blocked"
	}
	for _, o := range p.BlockedSites {
		if o == origin {
			return pages.Done{}, h.say("is-locked")
		}
	}
	return pages.Done{Text: h.text(key, "origin", origin)}, h.Store.SetSite(origin, decision, time.Now())
}

func (h *Hand) language(_ context.Context, args map[string]string) (pages.Done, error) {
	p, err := h.Store.Policy()
	if err != nil {
		return pages.Done{}, err
	}
	if p.Language != nil {
		return pages.Done{}, h.say("is-locked")
	}
	lang := args["language"]
	if lang != "" {
		lang = string(message.ParseLang(lang))
	}
	if err := h.Store.Change(func(s *config.Settings) { s.Language = lang }); err != nil {
		return pages.Done{}, err
	}
	return pages.Done{Text: h.text("saved")}, nil
}

func (h *Hand) autostart(_ context.Context, args map[string]string) (pages.Done, error) {
	p, err := h.Store.Policy()
	if err != nil {
		return pages.Done{}, err
	}
	if p.Autostart != nil {
		return pages.Done{}, h.say("is-locked")
	}
	on := args["on"] == "true"
	if err := autostart.Set(on); err != nil {
		return pages.Done{}, err
	}
	if on {
		return pages.Done{Text: h.text("autostart-on")}, nil
	}
	return pages.Done{Text: h.text("autostart-off")}, nil
}

func (h *Hand) quit(context.Context, map[string]string) (pages.Done, error) {
	time.AfterFunc(300*time.Millisecond, h.Quit) // the window gets its answer first
	return pages.Done{Text: h.text("quitting")}, nil
}
