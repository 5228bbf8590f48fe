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

// Form fills in a form and gives the address that it leads to.
func (s *Site) Form(ctx context.Context, path string, fields map[string]string) (string, error) {
	csrf, err := s.CSRF(ctx, path)
	if err != nil {
		return "", err
	}
	v := url.Values{"csrf": {csrf}}
	for k, x := range fields {
		v.Set(k, x)
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

// Submit sends the signed document of a draft and gives the submission's address.
func (s *Site) Submit(ctx context.Context, draft string, signed []byte) (next, protocol string, err error) {
	csrf, err := s.CSRF(ctx, "/area") // the logout's form has the session's token
	if err != nil {
		return "", "", err
	}
	var r struct{ Next, Protocol string }
	err = s.Post(ctx, "/api/bozze/"+draft+"/firma", "application/pkcs7-mime", signed, http.Header{"X-Csrf-Token": {csrf}}, &r)
	return r.Next, r.Protocol, err
}

// Kindergarten is a form that is filled in well.
func Kindergarten(now time.Time) map[string]string {
	return map[string]string{
		"child-given": "Nina", "child-family": "Esempio", "child-cf": "RSSMRA85T10A562S", "child-born": now.AddDate(-1, 0, 0).Format(time.DateOnly),
		"child-place": "Prova", "address": "Via dell'Esempio 1", "cap": "00100", "town": "Città di Prova", "email": "prova@comune.example",
		"relation": "parent", "nursery": "arcobaleno", "time": "full", "from": now.AddDate(0, 3, 0).Format(time.DateOnly),
		"isee": "not-declared", "notes": "Perché no? È una prova: àèéìòù €", "truth": "yes", "privacy": "yes",
	}
}

// Nursery is the form of the service iscrizione-nido, step by step, for a child.
func Nursery(child string) []url.Values {
	return []url.Values{
		{"child-given": {"Bimba"}, "child-family": {"Esempio"}, "child-cf": {child}, "child-born": {"2024-05-01"}},
		{"relation": {"parent"}, "email": {"genitore@example.org"}, "other": {"none"}},
		{"first": {"arcobaleno"}, "time": {"full"}},
		{"both-work": {"yes"}},
		{"vaccinated": {"yes"}},
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
