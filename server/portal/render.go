package portal

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

// functions are the templates' in a language.
func functions(l message.Lang) template.FuncMap {
	return template.FuncMap{
		"asset":   assets.URL,
		"fonts":   assets.FontURLs,
		"date":    func(t time.Time) string { return l.Date(t.In(register.Rome())) },
		"minute":  func(t time.Time) string { return l.Minute(t.In(register.Rome())) },
		"moment":  func(t time.Time) string { return l.Moment(t.In(register.Rome())) },
		"day":     l.Day,
		"count":   func(n int) []int { return make([]int, n) },
		"emblem":  func() []string { return emblem },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
}

// pages are the templates by language and name.
var pages = map[message.Lang]map[string]*template.Template{message.Italian: parse(message.Italian), message.English: parse(message.English)} //nolint:gochecknoglobals // parsed once

func parse(l message.Lang) map[string]*template.Template {
	out := map[string]*template.Template{}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name == "base" || strings.HasPrefix(name, "shared-") {
			continue
		}
		base := template.Must(form.Parse(template.New("base.html").Funcs(functions(l))))
		out[name] = template.Must(base.ParseFS(templateFiles, "templates/base.html", "templates/shared-*.html", "templates/"+e.Name()))
	}
	return out
}

// view is what templates see.
type view struct {
	*request
	Title  string
	Lang   message.Lang
	Path   string
	Script string
	D      map[string]any
}

// Ente, Demo, Person, CSRF and the like are the request's, for the templates.
func (v *view) Ente() string { return v.ente.Name }

// Arms tells whether the ente has some.
func (v *view) Arms() bool { return v.ente.HasArms }

// Base is what links begin with.
func (v *view) Base() string { return v.base }

// Demo tells whether the banner is shown.
func (v *view) Demo() bool { return v.p.Demo }

// Downloads tells whether the agent can be downloaded here.
func (v *view) Downloads() bool { return v.p.Downloads != nil }

// Name is who is logged in: the person, or the e-mail of a debole that nobody has proved;
// empty before the login.
func (v *view) Name() string {
	switch {
	case v.session == nil || v.session.Level == session.None:
		return ""
	case v.person != nil:
		return v.person.Name()
	case v.credential != nil:
		return v.credential.Email
	}
	return ""
}

// Left is how many seconds the session holds, Warning how many before its end the page
// asks, Ends when that is.
func (v *view) Left() int { return int(v.p.Sessions.Left(v.session).Seconds()) }

// Warning is when the page asks.
func (v *view) Warning() int { return int(session.Warning.Seconds()) }

// Ends is when the session is over.
func (v *view) Ends() string { return v.session.Ends.In(register.Rome()).Format("15:04") }

// CSRF is what this page's forms carry.
func (v *view) CSRF() string { return v.csrf() }

// Language is this page in the other language.
func (v *view) Language() string {
	q := v.r.URL.Query()
	q.Set("lingua", string(v.Other()))
	path := v.Path
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		path, q = "/", url.Values{"lingua": {string(v.Other())}}
	}
	return v.base + path + "?" + q.Encode()
}

// Ports are the agent's, for the script.
func (v *view) Ports() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v.p.AgentPorts)), ","), "[]")
}

// Other is the other language.
func (v *view) Other() message.Lang {
	if v.Lang == message.Italian {
		return message.English
	}
	return message.Italian
}

// Login is the login's kind of certificate.
func (v *view) Profile() string {
	if v.session == nil {
		return ""
	}
	return v.session.Profile
}

// render writes a page; a template that fails leaves nothing half written.
func (r *request) render(name, title string, data map[string]any) error {
	v := &view{request: r, Title: r.T(title), Lang: r.lang, Path: r.r.URL.Path, D: data}
	if s, ok := data["Script"].(string); ok {
		v.Script = s
	}
	if t, ok := data["Title"].(string); ok {
		v.Title = t
	}
	var b bytes.Buffer
	if err := pages[r.lang][name].Execute(&b, v); err != nil {
		return fmt.Errorf("portal: page %s: %w", name, err)
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.status != 0 {
		r.w.WriteHeader(r.status)
	}
	_, _ = r.w.Write(b.Bytes())
	return nil
}

func (r *request) json(status int, v any) error {
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(status)
	return json.NewEncoder(r.w).Encode(v)
}

func (r *request) apiError(status int, code, text string) error {
	return r.json(status, map[string]string{"error": code, "text": text})
}

// Query is a value of the address, which pages show nothing of by itself.
func (v *view) Query(name string) string { return v.r.URL.Query().Get(name) }

// Description is what the page is about, for those who list it.
func (v *view) Description() string {
	if d, ok := v.D["Description"].(string); ok && d != "" {
		return d
	}
	return v.T("town.description", "ente", v.ente.Name)
}

// Level is what the session opens in this ente.
func (v *view) Level() string { return v.level.String() }

// file sends a file: shown ("inline") where it is ours, else a download.
func (r *request) file(f io.ReadCloser, kind, disposition, name string) error {
	return web.Document{Name: name, MediaType: kind, Inline: disposition == "inline"}.Send(r.w, r.r, r.p.Log, f)
}

// download sends what somebody else made.
func (r *request) download(f io.ReadCloser, kind, name string) error {
	return r.file(f, kind, "attachment", name)
}
