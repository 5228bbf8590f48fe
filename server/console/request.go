package console

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	forms "github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
)

func (r *request) ctx() context.Context { return r.r.Context() }

// T is a sentence in the page's language.
func (r *request) T(key string, args ...any) string { return message.Text(r.lang, key, args...) }

// value is a field of the form, without the blanks around it.
func (r *request) value(name string) string { return strings.TrimSpace(r.r.PostFormValue(name)) }

// actor is the operator as rooms ask for rights.
func (r *request) actor() role.Actor { return r.operator.Actor(r.c.address(r.r)) }

// id reads a number out of the address; one that is none leads nowhere.
func (r *request) id() (int64, error) {
	n, err := strconv.ParseInt(r.r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, errNotFound
	}
	return n, nil
}

func (r *request) redirect(to string) { http.Redirect(r.w, r.r, to, http.StatusSeeOther) }

// done goes on to a page that says what was done.
func (r *request) done(to, what string) error {
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	r.redirect(to + sep + "fatto=" + what)
	return nil
}

func (r *request) json(status int, v any) error {
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(status)
	return json.NewEncoder(r.w).Encode(v)
}

// fail shows an error. What is ours to know stays in the log.
func (r *request) fail(err error) {
	status, code := r.kind(err)
	if status == 0 {
		return
	}
	r.note(status, code)
	if status == http.StatusInternalServerError {
		r.c.Log.Error("request failed", "path", r.r.URL.Path, "error", err)
	}
	text, title := r.T("console."+code+"-body", r.args(err)...), "console."+code+"-title"
	if over := r.over(err); over != "" {
		text, title = over, "limit.title"
	}
	if strings.HasPrefix(r.r.URL.Path, Prefix+"/api/") {
		_ = r.json(status, map[string]string{"error": code, "text": text})
		return
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := r.page(status, "error", r.T(title), data{"Body": text}); err != nil {
		r.c.Log.Error("answer failed", "error", err)
	}
}

func (r *request) args(err error) []any {
	var soon *delay.TooSoonError
	if errors.As(err, &soon) {
		return []any{"seconds", int(soon.Wait.Seconds()) + 1}
	}
	return nil
}

// over is the sentence of a bound that is reached; empty for other errors.
func (r *request) over(err error) string {
	var e *limit.OverError
	if !errors.As(err, &e) {
		return ""
	}
	return r.T("limit."+e.Rule.Code, "n", e.Rule.Most, "time", e.Again.Add(time.Minute-1).In(register.Rome()).Format("02/01/2006 15:04"))
}

// kind is the status and the stable code of an error; its sentences are
// "console.<code>-title" and "-body".
func (r *request) kind(err error) (status int, code string) {
	var soon *delay.TooSoonError
	var over *limit.OverError
	switch {
	case errors.As(err, &over):
		return http.StatusTooManyRequests, "over"
	case errors.Is(err, context.Canceled):
		return 0, ""
	case errors.Is(err, errNotFound), errors.Is(err, person.ErrNotFound), errors.Is(err, operator.ErrNotFound), errors.Is(err, credential.ErrNotFound),
		errors.Is(err, ente.ErrNotFound), errors.Is(err, foureyes.ErrNotFound), errors.Is(err, resident.ErrNotFound):
		return http.StatusNotFound, "not-found"
	case errors.Is(err, errForbidden), errors.Is(err, role.ErrDenied):
		return http.StatusForbidden, "forbidden"
	case errors.Is(err, errCSRF):
		return http.StatusForbidden, "csrf"
	case errors.Is(err, errBadForm):
		return http.StatusBadRequest, "bad-form"
	case errors.As(err, &soon):
		return http.StatusTooManyRequests, "too-soon"
	case errors.Is(err, operator.ErrSelf), errors.Is(err, person.ErrSelf), errors.Is(err, credential.ErrSelf), errors.Is(err, envelope.ErrSelf):
		return http.StatusForbidden, "self"
	case errors.Is(err, operator.ErrState), errors.Is(err, credential.ErrState), errors.Is(err, envelope.ErrState), errors.Is(err, resident.ErrState):
		return http.StatusConflict, "state"
	case errors.Is(err, operator.ErrReason), errors.Is(err, credential.ErrReason), errors.Is(err, envelope.ErrReason), errors.Is(err, person.ErrReason):
		return http.StatusUnprocessableEntity, "reason"
	case errors.Is(err, foureyes.ErrSame):
		return http.StatusForbidden, "same"
	}
	return http.StatusInternalServerError, "error"
}

//go:embed templates/*.html
var templateFiles embed.FS

var functions = template.FuncMap{
	"asset":    assets.URL,
	"fonts":    assets.FontURLs,
	"date":     func(t time.Time) string { return t.In(register.Rome()).Format("02/01/2006") },
	"moment":   moment,
	"clock":    func(t time.Time) string { return t.In(register.Rome()).Format("15:04") },
	"missing":  func(n int, head []string) []string { return head[min(n, len(head)):] },
	"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"dict":     dict,
	"plus":     func(a, b int) int { return a + b },
	"envelope": envelope.FormatCode,
}

// dict gives a template part several values by name.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("console: dict takes pairs")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("console: dict takes names")
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

var pages = func() map[string]*template.Template {
	out := map[string]*template.Template{}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name == "base" || name == "parts" {
			continue
		}
		t := template.Must(forms.Parse(template.New("base.html").Funcs(functions)))
		out[name] = template.Must(t.ParseFS(templateFiles, "templates/base.html", "templates/parts.html", "templates/"+e.Name()))
	}
	return out
}()

type data map[string]any

// view is what templates see.
type view struct {
	*request
	Title string
	Lang  message.Lang
	D     data
}

func (r *request) render(name, title string, d data) error {
	return r.page(http.StatusOK, name, r.T(title), d)
}

// page writes a page; a template that fails leaves nothing half written.
func (r *request) page(status int, name, title string, d data) error {
	if d == nil {
		d = data{}
	}
	scoped(d)
	var b bytes.Buffer
	if err := pages[name].Execute(&b, &view{request: r, Title: title, Lang: r.lang, D: d}); err != nil {
		return fmt.Errorf("console: page %s: %w", name, err)
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.w.WriteHeader(status)
	_, _ = r.w.Write(b.Bytes())
	return nil
}

// Demo tells whether the banner is shown.
func (v *view) Demo() bool { return v.c.Demo }

// Path is the page's own.
func (v *view) Path() string { return v.r.URL.Path }

// Operator is who works, nil before the login.
func (v *view) Operator() *operator.Operator { return v.operator }

// Roles are the operator's.
func (v *view) Roles() (out []*role.Role) {
	for _, id := range v.operator.Roles {
		if x := role.Get(id); x != nil {
			out = append(out, x)
		}
	}
	return out
}

// Role is the one that the frame shows as active: rights add up, it changes none.
func (v *view) Role() string {
	if v.session.Role != "" {
		return v.session.Role
	}
	if len(v.operator.Roles) > 0 {
		return v.operator.Roles[0]
	}
	return ""
}

// EnteName is the desk's.
func (v *view) EnteName() string {
	code := ""
	switch {
	case v.operator != nil:
		code = v.operator.Ente
	case v.session != nil:
		code = v.session.Ente
	}
	if code == "" {
		return v.T("console.system")
	}
	if e, err := v.c.Rooms.Enti.Get(v.ctx(), code); err == nil {
		return e.Name
	}
	return code
}

// CSRF is the session's token.
func (v *view) CSRF() string {
	if v.session == nil {
		return ""
	}
	return v.session.CSRF
}

// Ends is when the session is over without another request.
func (v *view) Ends() time.Time { return v.session.Ends }

// Done is what the page before has done, a code of ours or nothing.
func (v *view) Done() string {
	code := v.r.URL.Query().Get("fatto")
	key := "console.done-" + code
	if area, what, ok := strings.Cut(code, "."); ok { // a module's own sentences
		key = area + ".done-" + what
	}
	if code != "" && v.T(key) != key {
		return v.T(key)
	}
	return ""
}

// Other is the other language.
func (v *view) Other() message.Lang {
	if v.Lang == message.Italian {
		return message.English
	}
	return message.Italian
}

// OtherPage is this page in the other language; what was posted is not posted again.
func (v *view) OtherPage() string {
	if v.r.Method != http.MethodGet {
		return Prefix + "/?lingua=" + string(v.Other())
	}
	q := v.r.URL.Query()
	q.Del("fatto")
	q.Set("lingua", string(v.Other()))
	return v.r.URL.Path + "?" + q.Encode()
}

// Ports are the agent's, for the script.
func (v *view) Ports() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v.c.AgentPorts)), ","), "[]")
}
