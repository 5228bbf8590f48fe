package console_test

import (
	"context"
	"database/sql"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/console"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/testdata/town"
)

const origin = "http://127.0.0.1:8480"

func pages(t *testing.T, w *town.Town) http.Handler {
	t.Helper()
	c := &console.Console{Rooms: w.Rooms, Origin: origin, Demo: true, AgentPorts: []int{52310}, Log: slog.New(slog.DiscardHandler), Now: w.Today}
	h, err := c.Handler()
	if err != nil {
		t.Fatalf("%v (`make assets` makes them)", err)
	}
	return h
}

// browser is one browser at the console: cookies, the last page.
type browser struct {
	t       *testing.T
	h       http.Handler
	from    string
	cookies map[string]string
	status  int
	header  http.Header
	body    string
}

func open(t *testing.T, h http.Handler, from string) *browser {
	return &browser{t: t, h: h, from: from, cookies: map[string]string{}}
}

func (b *browser) do(r *http.Request) {
	r.RemoteAddr = b.from
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, line := range w.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			b.t.Fatal(err)
		}
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	b.status, b.header, b.body = w.Code, w.Header(), w.Body.String()
	if b.status == http.StatusInternalServerError {
		b.t.Errorf("%s %s: %d", r.Method, r.URL, b.status)
	}
}

func (b *browser) get(path string) *browser {
	b.t.Helper()
	b.do(httptest.NewRequest(http.MethodGet, path, nil))
	return b
}

// follow goes where a redirect leads.
func (b *browser) follow() *browser {
	b.t.Helper()
	for b.status == http.StatusSeeOther {
		b.get(b.header.Get("Location"))
	}
	return b
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// token is the session's, as a page has it.
func (b *browser) token() string {
	if m := csrf.FindStringSubmatch(b.body); m != nil {
		return m[1]
	}
	return ""
}

func (b *browser) post(path string, token string, pairs ...string) *browser {
	b.t.Helper()
	form := url.Values{"csrf": {token}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.do(r)
	return b
}

// send posts a form with the token of the page that is open.
func (b *browser) send(path string, pairs ...string) *browser {
	b.t.Helper()
	return b.post(path, b.token(), pairs...)
}

// wants fails unless the page has a status and texts.
func (b *browser) wants(status int, texts ...string) *browser {
	b.t.Helper()
	if b.status != status {
		b.t.Fatalf("status %d instead of %d, Location %q\n%s", b.status, status, b.header.Get("Location"), plain(b.body))
	}
	for _, x := range texts {
		if !strings.Contains(html.UnescapeString(b.body), x) {
			b.t.Fatalf("the page lacks %q:\n%s", x, plain(b.body))
		}
	}
	return b
}

var tags = regexp.MustCompile(`(?s)<[^>]*>|\s+`)

func plain(s string) string {
	if _, rest, ok := strings.Cut(s, "<main"); ok {
		s = rest
	}
	return strings.Join(strings.Fields(tags.ReplaceAllString(html.UnescapeString(s), " ")), " ")
}

// as puts an operator's session into a browser, without the login.
func as(t *testing.T, w *town.Town, h http.Handler, a role.Actor, from string) *browser {
	t.Helper()
	b := open(t, h, from)
	rec := httptest.NewRecorder()
	ctx := context.Background()
	s, err := w.Console.StartAt(ctx, rec, a.Ente)
	if err == nil {
		rec = httptest.NewRecorder()
		err = w.Store.Tx(ctx, func(tx *sql.Tx) error {
			_, err := w.Console.RiseAt(ctx, tx, rec, s, session.Session{Operator: a.Operator}, a.Ente)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return b
}
