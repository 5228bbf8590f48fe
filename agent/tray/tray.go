// Package tray is the icon in the notification area with its menu: a shortcut to the
// pages of the hand, and nothing that is not there without it. On Linux it is a
// StatusNotifierItem on the session's D-Bus, on Windows a notification icon; no window
// toolkit is linked.
package tray

import (
	"context"
	"io"
	"log"

	"fyne.io/systray"

	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/pkcs/message"
)

// State of readers and card, as the icon shows it.
type State int

// States.
const (
	NoService State = iota
	NoReader
	NoCard
	Card
)

// keys are the sentences of the states, in hand.json.
var keys = map[State]string{NoService: "state-no-service", NoReader: "state-no-reader", NoCard: "state-no-card", Card: "tray-card-there"}

// Tray is what the icon needs.
type Tray struct {
	Lang func() message.Lang
	// Open shows a page; Quit ends the agent.
	Open func(page string)
	Quit func()
	// States are told at each change of readers, cards, or the language.
	States <-chan State
}

// item is a line of the menu.
type item struct {
	key string
	do  func()
	m   *systray.MenuItem
}

// Run shows the icon until ctx is done. Without a notification area it does nothing;
// one that comes later gets the icon then.
func (t *Tray) Run(ctx context.Context) {
	if !reachable() {
		return
	}
	log.SetOutput(io.Discard) // the library's remarks: no watcher is no fault
	state := NoService
	select {
	case state = <-t.States:
	case <-ctx.Done():
		return
	}
	systray.SetTitle("CiTel")
	systray.SetIcon(icon(state))
	systray.SetTooltip(t.text(keys[state]))
	go systray.Run(func() { t.follow(ctx, state) }, func() {})
	<-ctx.Done()
	if quits {
		systray.Quit()
	}
}

func (t *Tray) text(key string) string { return message.Text(t.Lang(), "hand."+key) }

// follow makes the menu and keeps it true.
func (t *Tray) follow(ctx context.Context, state State) {
	about := systray.AddMenuItem(t.text(keys[state]), "")
	about.Disable()
	systray.AddSeparator()
	page := func(name string) func() { return func() { t.Open(name) } }
	items := []*item{
		{key: "tray-open", do: page(pages.Home)}, {key: "tray-history", do: page(pages.History)}, {key: "tray-card", do: page(pages.Card)},
		{key: "tray-settings", do: page(pages.Settings)}, {key: "tray-doctor", do: page(pages.Doctor)}, {key: "tray-quit", do: t.Quit},
	}
	for i, x := range items {
		if i == len(items)-1 {
			systray.AddSeparator()
		}
		x.m = systray.AddMenuItem(t.text(x.key), "")
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-x.m.ClickedCh:
					x.do()
				}
			}
		}()
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-t.States:
				systray.SetIcon(icon(s))
				systray.SetTooltip(t.text(keys[s]))
				about.SetTitle(t.text(keys[s]))
				for _, x := range items {
					x.m.SetTitle(t.text(x.key))
				}
			}
		}
	}()
}
