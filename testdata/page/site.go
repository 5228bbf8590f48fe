package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Site is a browser's session with the server.
type Site struct {
	Base   string
	client *http.Client
}

// NewSite begins a session.
func NewSite(base string) *Site {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &Site{Base: base, client: &http.Client{Jar: jar, Timeout: time.Minute}}
}

// ServerError is an error answer of the server's own interface.
type ServerError struct {
	Status     int
	Code, Text string
}

// Error names code and text.
func (e *ServerError) Error() string {
	return fmt.Sprintf("server: %d %s: %s", e.Status, e.Code, e.Text)
}

// Get reads an address; it follows redirects and gives the last address too.
func (s *Site) Get(ctx context.Context, path string) (body []byte, last string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Base+path, nil)
	if err != nil {
		return nil, "", err
	}
	return s.do(req)
}

func (s *Site) do(req *http.Request) (body []byte, last string, err error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<20)); err != nil {
		return nil, "", err
	}
	if resp.StatusCode >= 400 {
		e := &ServerError{Status: resp.StatusCode, Code: resp.Status}
		var j struct{ Error, Text string }
		if json.Unmarshal(body, &j) == nil && j.Error != "" {
			e.Code, e.Text = j.Error, j.Text
		}
		return body, resp.Request.URL.Path, e
	}
	return body, resp.Request.URL.Path, nil
}

// Post sends bytes and reads a JSON answer into v.
func (s *Site) Post(ctx context.Context, path, kind string, data []byte, header http.Header, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Base+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	for k, x := range header {
		req.Header[k] = x
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	body, _, err := s.do(req)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// Nonce asks for a nonce.
func (s *Site) Nonce(ctx context.Context) (nonce string, life time.Duration, err error) {
	var r struct {
		Nonce     string
		ExpiresIn int
	}
	err = s.Post(ctx, "/api/login/nonce", "application/json", []byte("{}"), nil, &r)
	return r.Nonce, time.Duration(r.ExpiresIn) * time.Second, err
}

// Login brings a token.
func (s *Site) Login(ctx context.Context, token json.RawMessage, nonce, fingerprint string) error {
	data, err := json.Marshal(map[string]any{"token": token, "nonce": nonce, "fingerprint": fingerprint, "next": "/area"})
	if err != nil {
		return err
	}
	var r map[string]string
	return s.Post(ctx, "/api/login/token", "application/json", data, nil, &r)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// CSRF reads the token of a page's form.
func (s *Site) CSRF(ctx context.Context, path string) (string, error) {
	body, _, err := s.Get(ctx, path)
	if err != nil {
		return "", err
	}
	m := csrfField.FindSubmatch(body)
	if m == nil {
		return "", fmt.Errorf("page: no form on %s", path)
	}
	return string(m[1]), nil
}

var draftPath = regexp.MustCompile(`^/pratiche/[0-9a-f]{32}`)

var draftField = regexp.MustCompile(`name="_bozza" value="([0-9a-f]{32})"`)

// Apply fills in the form of a service, step by step, accepts warnings and notice, and has
// the document made. It gives the application's address; the document is at
// ADDRESS/documento.pdf.
func (s *Site) Apply(ctx context.Context, service string, steps []url.Values) (string, error) {
	body, last, err := s.Get(ctx, "/servizi/"+service+"/compila")
	if err != nil {
		return "", err
	}
	csrf, draft := csrfField.FindSubmatch(body), draftField.FindSubmatch(body)
	if csrf == nil || draft == nil {
		return "", fmt.Errorf("page: no form on %s", last)
	}
	at := ""
	for i, step := range steps {
		path, v := fmt.Sprintf("%s/passo/%d", at, i+1), url.Values{"_script": {"1"}}
		if i == 0 {
			path, v = "/servizi/"+service, url.Values{"_bozza": {string(draft[1])}, "_passo": {"1"}}
		}
		for k, x := range step {
			v[k] = x
		}
		if last, err = s.Send(ctx, path, string(csrf[1]), v); err != nil {
			return "", err
		}
		if m := draftPath.FindString(last); i == 0 && m != "" {
			at = m // the server's own name for the draft
		}
		if at == "" || !strings.HasPrefix(last, at+"/") || last == fmt.Sprintf("%s/passo/%d", at, i+1) {
			return "", fmt.Errorf("page: step %d leads to %s", i+1, last)
		}
	}
	return at, s.Confirm(ctx, at)
}

var versionField = regexp.MustCompile(`name="version" value="([^"]*)"`)

// Confirm accepts warnings and notice on the summary of a draft, which makes its document,
// or sends what needs no signature.
func (s *Site) Confirm(ctx context.Context, at string) error {
	body, last, err := s.Get(ctx, at+"/riepilogo")
	if err != nil {
		return err
	}
	csrf, version := csrfField.FindSubmatch(body), versionField.FindSubmatch(body)
	if csrf == nil || version == nil {
		return fmt.Errorf("page: no summary on %s", last)
	}
	last, err = s.Send(ctx, at+"/riepilogo", string(csrf[1]), url.Values{"warned": {"yes"}, "privacy": {"yes"}, "version": {string(version[1])}})
	if err == nil && last != at+"/firma" && last != at {
		err = fmt.Errorf("page: the summary leads to %s", last)
	}
	return err
}

// Send posts a form with a page's token and gives the address that it leads to.
func (s *Site) Send(ctx context.Context, path, csrf string, fields url.Values) (string, error) {
	v := url.Values{"csrf": {csrf}}
	for k, x := range fields {
		v[k] = x
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Base+path, strings.NewReader(v.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	_, last, err := s.do(req)
	return last, err
}

// Submit brings the signed document of an application and gives the address that it leads
// to; the last signature sends the application.
func (s *Site) Submit(ctx context.Context, at string, signed []byte) (next, protocol string, err error) {
	csrf, err := s.CSRF(ctx, "/area") // the logout's form has the session's token
	if err != nil {
		return "", "", err
	}
	var r struct{ Next, Protocol string }
	err = s.Post(ctx, "/api"+at+"/firma", "application/pkcs7-mime", signed, http.Header{"X-Csrf-Token": {csrf}}, &r)
	return r.Next, r.Protocol, err
}

// Enrolment is the service whose form Nursery is.
const Enrolment = "iscrizione-nido"

// Nursery is the form of Enrolment, step by step, filled in well; its last two steps ask
// for vaccinations and health.
func Nursery() []url.Values {
	return []url.Values{
		{"child-given": {"Nina"}, "child-family": {"Esempio è"}, "child-cf": {"RSSMRA85T10A562S"}, "child-born": {time.Now().AddDate(-1, 0, 0).Format(time.DateOnly)}},
		{"relation": {"parent"}, "email": {"prova@comune.example"}, "other": {"none"}},
		{"first": {"arcobaleno"}, "time": {"full"}},
		{"both-work": {"yes"}},
		{"siblings.items": {"1"}, "siblings.1.sibling-given": {"Leo"}, "siblings.1.sibling-family": {"Esempio è"}, "siblings.1.sibling-born": {time.Now().AddDate(-4, 0, 0).Format(time.DateOnly)}, "siblings.1.sibling-school": {"girasole"}},
		{"collectors.items": {"0"}},
		{"vaccination": {"done"}},
		{},
	}
}

// Picture is a PNG of one colour.
func Picture(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}
