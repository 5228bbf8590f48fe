// Package verification is the HTTP interface by which portals have signed files
// verified: a file goes up as a stream, the report comes back as JSON, HTML or PDF.
// openapi.json describes it; the tests hold the handlers to it.
//
// A file is a stranger's: no more of it than a few megabytes is in memory, what has to be
// read twice is put aside in a file that only the server can read and that is gone with
// the request, and nothing of its content goes into log or audit.
package verification

import (
	"context"
	"crypto/sha256"
	_ "embed" // the interface's description
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/server/apikey"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/web"
)

// Prefix is where the interface is.
const Prefix = "/api/v1/"

//go:embed openapi.json
var openAPI []byte

// Limits of the interface.
type Limits struct {
	Bytes       int64         // of a body
	Time        time.Duration // of a request
	Idle        time.Duration // between two pieces of a body
	Grace       time.Duration // before the pace counts
	Pace        int64         // bytes a second, on average
	AtOnce      int           // verifications at one time
	PerKey      int           // of one key at one time
	Burst, Rate float64       // requests of one key: at once, and a second
}

// DefaultLimits are those of the server.
func DefaultLimits() Limits {
	return Limits{Bytes: 2<<30 + 1<<20, Time: 15 * time.Minute, Idle: 20 * time.Second, Grace: 30 * time.Second, Pace: 32 << 10, AtOnce: 4, PerKey: 2, Burst: 30, Rate: 2}
}

// Service verifies what portals send.
type Service struct {
	Ente       string
	Keys       *apikey.Room
	Trust      *trust.Store
	Revocation *trust.Revocation
	Policy     *validation.Policy
	Audit      *audit.Log
	Log        *slog.Logger
	Limits     Limits
	// TempDir is where files are put aside that have to be read twice.
	TempDir string
	// Address tells who a request comes from; nil is its RemoteAddr.
	Address func(*http.Request) string
	Now     func() time.Time

	byKey, byAddress limit.Limiter
	mu               sync.Mutex
	running          map[string]int
	all              int
}

// Handler serves everything below Prefix.
func (s *Service) Handler() http.Handler {
	s.byKey = limit.Limiter{Burst: s.Limits.Burst, PerSecond: s.Limits.Rate}
	s.byAddress = limit.Limiter{Burst: 20, PerSecond: 0.2} // wrong keys
	s.running = map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI) // a client that left is no error of ours
	})
	mux.HandleFunc("POST "+Prefix+"verifications", func(w http.ResponseWriter, r *http.Request) {
		if err := s.serve(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
	for _, path := range []string{"openapi.json", "verifications"} {
		mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", map[string]string{"openapi.json": "GET, HEAD", "verifications": "POST"}[path])
			s.refuse(w, r, fail("method-not-allowed", nil))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, fail("not-found", nil)) })
	headed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", report.CSP+"; frame-ancestors 'none'; sandbox")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
	return web.Recovered(s.Log, headed, func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, fail("internal", nil)) })
}

func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := write(w, language(r), err)
	if p.status == http.StatusInternalServerError {
		s.Log.Error("verification failed", "error", err)
		return
	}
	s.Log.Debug("verification refused", "code", p.code, "error", err)
}

// serve verifies one file: who asks, in which form, is there room; only then is a byte
// of the body read.
func (s *Service) serve(w http.ResponseWriter, r *http.Request) error {
	key, err := s.authorize(r)
	if err != nil {
		return err
	}
	asked, err := parse(r)
	if err != nil {
		return err
	}
	if ok, wait := s.byKey.Allow(key.ID); !ok {
		return later("too-many-requests", wait)
	}
	release, err := s.enter(key.ID)
	if err != nil {
		return err
	}
	defer release()
	if r.ContentLength > s.Limits.Bytes {
		return fail("too-large", nil)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Limits.Time)
	defer cancel()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(s.Limits.Time + time.Minute)) // see paced
	body := s.paced(w, r)
	asked.time = asked.time.UTC()
	file, err := s.verify(ctx, asked, body)
	s.tell(ctx, key, body.read, file, err)
	if err != nil {
		return explain(err, body.err, ctx)
	}
	return s.answer(w, asked, file)
}

// authorize reads the bearer key (RFC 6750, 2.1).
func (s *Service) authorize(r *http.Request) (apikey.Key, error) {
	address := r.RemoteAddr
	if s.Address != nil {
		address = s.Address(r)
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return apikey.Key{}, fail("unauthorized", nil)
	}
	key, err := s.Keys.Check(r.Context(), strings.TrimSpace(text))
	switch {
	case errors.Is(err, apikey.ErrRefused):
		if ok, wait := s.byAddress.Allow(address); !ok {
			return key, later("too-many-requests", wait)
		}
		return key, fail("unauthorized", nil)
	case err != nil:
		return key, err
	}
	return key, nil
}

// enter takes a place, for a key and of all.
func (s *Service) enter(key string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running[key] >= s.Limits.PerKey:
		return nil, later("too-many-requests", 5*time.Second)
	case s.all >= s.Limits.AtOnce:
		return nil, later("busy", 5*time.Second)
	}
	s.running[key]++
	s.all++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.running[key]--; s.running[key] == 0 {
			delete(s.running, key)
		}
	}, nil
}

// asked is what a request asks for.
type asked struct {
	format   string // json, html, pdf
	lang     message.Lang
	time     time.Time
	name     string
	boundary string // of a multipart body, empty for a plain one
}

func parse(r *http.Request) (*asked, error) {
	q := r.URL.Query()
	a := &asked{lang: language(r), time: time.Now(), name: q.Get("name")}
	for name := range q {
		switch name {
		case "format", "lang", "time", "name":
		default:
			return nil, fail("bad-parameter", fmt.Errorf("no parameter is called %.40q", name))
		}
	}
	if l := q.Get("lang"); l != "" && l != "it" && l != "en" {
		return nil, fail("bad-parameter", errors.New("lang"))
	}
	if len(a.name) > 255 {
		return nil, fail("bad-parameter", errors.New("name"))
	}
	if t := q.Get("time"); t != "" {
		var err error
		if a.time, err = time.Parse(time.RFC3339, t); err != nil {
			return nil, fail("bad-parameter", err)
		}
	}
	if f := q.Get("format"); f != "" {
		if f != "json" && f != "html" && f != "pdf" {
			return nil, fail("bad-parameter", errors.New("format"))
		}
		a.format = f
	} else if a.format = accepted(r.Header.Values("Accept")); a.format == "" {
		return nil, fail("not-acceptable", nil)
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, fail("unsupported-media-type", err)
	case kind == "multipart/form-data":
		if a.boundary = parameters["boundary"]; a.boundary == "" {
			return nil, fail("bad-multipart", errors.New("no boundary"))
		}
	case kind != "application/octet-stream" && kind != "application/pdf" && kind != "application/pkcs7-mime" && kind != "application/pkcs7-signature":
		return nil, fail("unsupported-media-type", nil)
	}
	return a, nil
}

// formats by media type, in the order of our preference.
var formats = []struct{ name, kind string }{{"json", "application/json"}, {"html", "text/html"}, {"pdf", "application/pdf"}}

// accepted chooses the form of the answer (RFC 9110, 12.5.1, Accept); empty when none
// that we have will do.
func accepted(headers []string) string {
	if len(headers) == 0 {
		return "json"
	}
	best, weight := "", 0.0
	for _, f := range formats {
		q, precise := 0.0, -1
		for _, part := range strings.Split(strings.Join(headers, ","), ",") {
			kind, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
			if err != nil {
				continue
			}
			main, _, _ := strings.Cut(f.kind, "/")
			level := map[string]int{"*/*": 0, main + "/*": 1, f.kind: 2}
			if l, ok := level[kind]; ok && l > precise {
				precise, q = l, 1
				if v, ok := parameters["q"]; ok {
					if q, err = strconv.ParseFloat(v, 64); err != nil {
						q = 0
					}
				}
			}
		}
		if q > weight {
			best, weight = f.name, q
		}
	}
	return best
}

func language(r *http.Request) message.Lang {
	if l := r.URL.Query().Get("lang"); l == "it" || l == "en" {
		return message.Lang(l)
	}
	return message.ParseLang(strings.TrimSpace(r.Header.Get("Accept-Language")))
}

// verify reads the body and judges it.
func (s *Service) verify(ctx context.Context, a *asked, body io.Reader) (*report.File, error) {
	o := verify.Options{Store: s.Trust, Revocation: s.Revocation, Policy: s.Policy, Time: a.time, TempDir: s.TempDir}
	file := &report.File{Name: a.name}
	if a.boundary != "" {
		u, err := openMultipart(body, a.boundary, s.TempDir)
		if err != nil {
			return nil, err
		}
		defer u.close()
		if a.name == "" {
			file.Name = u.name
		}
		o.Content, file.SHA256 = u.content, u.sha256
		if err := judge(ctx, file, u.signed, o); err != nil {
			return nil, err
		}
		return file, u.finish()
	}
	in := &hashed{r: body, sum: sha256.New()}
	if err := judge(ctx, file, in, o); err != nil {
		return nil, err
	}
	// What is left of the file belongs to its hash.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	if in.n == 0 {
		return nil, fail("empty", nil)
	}
	file.SHA256 = in.sum.Sum(nil)
	return file, nil
}

func judge(ctx context.Context, file *report.File, in io.Reader, o verify.Options) (err error) {
	file.Results, err = verify.Reader(ctx, in, o)
	if errors.Is(err, verify.ErrNoSignature) {
		file.NoSignature, err = true, nil
	}
	return err
}

// hashed hashes what is read.
type hashed struct {
	r   io.Reader
	sum hash.Hash
	n   int64
}

// Read reads and hashes.
func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	h.n += int64(n)
	return n, err
}

// explain turns an error into the answer that says what to do.
func explain(err, body error, ctx context.Context) error {
	var p *problem
	switch {
	case errors.Is(body, errTooLarge):
		return fail("too-large", err)
	case errors.Is(body, errTooSlow), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fail("too-slow", err)
	case errors.As(err, &p):
		return err
	case body != nil && !errors.Is(body, io.EOF):
		return fail("bad-multipart", err) // the client left: nobody reads this
	case errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge):
		return fail("malformed", err)
	}
	return err
}

// tell writes the audit's line: who asked, how much, how it went; nothing of the file.
func (s *Service) tell(ctx context.Context, key apikey.Key, n int64, file *report.File, err error) {
	counts := map[validation.Indication]int{}
	outcome := "refused"
	if err == nil {
		outcome = "reported"
		for _, r := range file.Results {
			counts[r.Indication]++
		}
	}
	e := audit.Event{Ente: s.Ente, Kind: audit.Verified, Detail: map[string]string{"key": key.ID, "bytes": strconv.FormatInt(n, 10), "outcome": outcome,
		"passed": strconv.Itoa(counts[validation.TotalPassed]), "failed": strconv.Itoa(counts[validation.TotalFailed]), "open": strconv.Itoa(counts[validation.Indeterminate])}}
	// The line is written also when the client has left.
	if err := s.Audit.Write(context.WithoutCancel(ctx), e); err != nil {
		s.Log.Error("the audit's line could not be written", "error", err)
	}
}

func (s *Service) answer(w http.ResponseWriter, a *asked, file *report.File) error {
	made := report.New([]report.File{*file}, report.Options{Lang: a.lang, Policy: s.Policy, Time: a.time})
	h := w.Header()
	h.Set("Content-Language", string(a.lang))
	switch a.format {
	case "html":
		h.Set("Content-Type", "text/html; charset=utf-8")
		return made.HTML(w)
	case "pdf":
		h.Set("Content-Type", "application/pdf")
		h.Set("Content-Disposition", `attachment; filename="report.pdf"`)
		return made.PDF(w)
	}
	out, err := bundle.ReportJSON(file.Results, a.lang)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(out) // a client that left is no error of ours
	return nil
}
