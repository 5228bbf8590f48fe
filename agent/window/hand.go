package window

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/pkcs/message"
)

// Limits of a hand's requests.
const (
	maxArgs  = 16 << 10
	callTime = 150 * time.Second // a person may type an administrator's password meanwhile
)

// calls are questions to the agent that wait for their replies.
type calls struct {
	mu      sync.Mutex
	last    int
	waiting map[int]chan frame.Message
}

func (c *calls) deliver(m frame.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch, ok := c.waiting[m.ID]; ok {
		ch <- m
		delete(c.waiting, m.ID)
	}
}

// call asks the agent. The error's text is for the person.
func (w *Window) call(ctx context.Context, name string, args map[string]string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	ch := make(chan frame.Message, 1)
	w.calls.mu.Lock()
	if w.calls.waiting == nil {
		w.calls.waiting = map[int]chan frame.Message{}
	}
	w.calls.last++
	id := w.calls.last
	w.calls.waiting[id] = ch
	w.calls.mu.Unlock()
	defer func() {
		w.calls.mu.Lock()
		delete(w.calls.waiting, id)
		w.calls.mu.Unlock()
	}()
	w.mu.Lock()
	err := frame.WriteJSON(w.out, frame.Message{Type: frame.Call, ID: id, Name: name, Args: args})
	w.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case m := <-ch:
		w.mu.Lock()
		if m.Name != "" {
			w.View.Lang = m.Name
		}
		w.mu.Unlock()
		if m.Text != "" || m.Data == nil {
			return errors.New(m.Text)
		}
		return json.Unmarshal(m.Data, into)
	}
}

// handPage is what the template of the agent's own pages writes.
type handPage struct {
	V       frame.View
	Heading string
	Script  string
	Page    string
	Version int
	Nav     []navItem
	Fault   string

	Home     *pages.HomeData
	History  *pages.HistoryData
	Cards    *pages.CardData
	Settings *pages.SettingsData
	Doctor   *pages.DoctorData
}

type navItem struct {
	Name, Title string
	Here        bool
}

// handRoutes are the agent's own pages: shown with what the agent says at each
// request, and what they ask to be done.
func (w *Window) handRoutes(mux *http.ServeMux, html func(http.ResponseWriter, message.Lang, string, any)) {
	first := w.View.Page
	if !slices.Contains(pages.All, first) {
		first = pages.Home
	}
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, r *http.Request) { w.handPage(rw, r, first, html) })
	mux.HandleFunc("GET /hand/{page}", func(rw http.ResponseWriter, r *http.Request) {
		name := r.PathValue("page")
		if !slices.Contains(pages.All, name) {
			http.NotFound(rw, r)
			return
		}
		w.handPage(rw, r, name, html)
	})
	mux.HandleFunc("POST /do/{name}", func(rw http.ResponseWriter, r *http.Request) {
		var args map[string]string
		if err := json.NewDecoder(io.LimitReader(r.Body, maxArgs)).Decode(&args); err != nil || !w.ready() {
			http.Error(rw, message.Text(w.lang(), "window.bad-answer"), http.StatusConflict)
			return
		}
		var done pages.Done
		if err := w.call(r.Context(), r.PathValue("name"), args, &done); err != nil {
			http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(done)
	})
}

// lang is the language now.
func (w *Window) lang() message.Lang {
	w.mu.Lock()
	defer w.mu.Unlock()
	return message.ParseLang(w.View.Lang)
}

// handPage asks the agent for a page's data and writes it, in the language that the
// agent speaks then.
func (w *Window) handPage(rw http.ResponseWriter, r *http.Request, name string, html func(http.ResponseWriter, message.Lang, string, any)) {
	w.mu.Lock()
	p := handPage{Script: "hand", Page: name, Version: w.version}
	w.mu.Unlock()
	w.fill(r.Context(), &p)
	w.mu.Lock()
	p.V = w.View
	w.mu.Unlock()
	lang := w.lang()
	p.Heading = message.Text(lang, "hand.page-"+name)
	for _, n := range pages.All {
		p.Nav = append(p.Nav, navItem{Name: n, Title: message.Text(lang, "hand.page-"+n), Here: n == name})
	}
	html(rw, lang, "hand.html", p)
}

func (w *Window) fill(ctx context.Context, p *handPage) {
	var err error
	switch p.Page {
	case pages.Home:
		p.Home = &pages.HomeData{}
		err = w.call(ctx, p.Page, nil, p.Home)
	case pages.History:
		p.History = &pages.HistoryData{}
		err = w.call(ctx, p.Page, nil, p.History)
	case pages.Card:
		p.Cards = &pages.CardData{}
		err = w.call(ctx, p.Page, nil, p.Cards)
	case pages.Settings:
		p.Settings = &pages.SettingsData{}
		err = w.call(ctx, p.Page, nil, p.Settings)
	case pages.Doctor:
		p.Doctor = &pages.DoctorData{}
		err = w.call(ctx, p.Page, nil, p.Doctor)
	}
	if err != nil {
		p.Fault = err.Error()
		p.Home, p.History, p.Cards, p.Settings, p.Doctor = nil, nil, nil, nil, nil
	}
}
