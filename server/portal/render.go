package portal

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/register"
)

//go:embed templates/*.html
var templateFiles embed.FS

var functions = template.FuncMap{
	"asset": assets.URL,
	"date":  func(t time.Time) string { return t.In(register.Rome()).Format("02/01/2006") },
	"moment": func(t time.Time) string {
		return t.In(register.Rome()).Format("02/01/2006 15:04:05")
	},
	"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}

var pages = func() map[string]*template.Template {
	out := map[string]*template.Template{}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name == "base" {
			continue
		}
		out[name] = template.Must(template.New("base.html").Funcs(functions).ParseFS(templateFiles, "templates/base.html", "templates/"+e.Name()))
	}
	return out
}()

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
func (v *view) Ente() string { return v.p.Ente.Name }

// Demo tells whether the banner is shown.
func (v *view) Demo() bool { return v.p.Demo }

// Downloads tells whether the agent can be downloaded here.
func (v *view) Downloads() bool { return v.p.Downloads != nil }

// Name is the person's, empty before the login.
func (v *view) Name() string {
	if v.person == nil {
		return ""
	}
	return v.person.Name()
}

// CSRF is the session's token.
func (v *view) CSRF() string {
	if v.session == nil {
		return ""
	}
	return v.session.CSRF
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
	if err := pages[name].Execute(&b, v); err != nil {
		return fmt.Errorf("portal: page %s: %w", name, err)
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = r.w.Write(b.Bytes())
	return nil
}

// pageLanguage: what the address asks for and then remembers, else the browser's.
func pageLanguage(w http.ResponseWriter, r *http.Request) message.Lang {
	if l := r.URL.Query().Get("lingua"); l == "it" || l == "en" {
		http.SetCookie(w, &http.Cookie{Name: "lingua", Value: l, Path: "/", MaxAge: 31536000, SameSite: http.SameSiteLaxMode, HttpOnly: true}) //nolint:gosec // no secret
		return message.Lang(l)
	}
	if c, err := r.Cookie("lingua"); err == nil && (c.Value == "it" || c.Value == "en") {
		return message.Lang(c.Value)
	}
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		switch tag := strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(tag, "it"):
			return message.Italian
		case strings.HasPrefix(tag, "en"):
			return message.English
		}
	}
	return message.Italian
}

func (r *request) json(status int, v any) error {
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(status)
	return json.NewEncoder(r.w).Encode(v)
}

func (r *request) apiError(status int, code, text string) error {
	return r.json(status, map[string]string{"error": code, "text": text})
}
