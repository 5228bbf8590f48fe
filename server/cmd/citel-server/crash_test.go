package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// crashTotal is how many applications are sent at once: CITEL_CRASH in `make test-full`.
func crashTotal(t *testing.T) int {
	t.Helper()
	s := os.Getenv("CITEL_CRASH")
	if s == "" {
		return 100
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 10 {
		t.Fatalf("CITEL_CRASH=%q is no number from 10 on", s)
	}
	return n
}

const kills = 3

// The real program behind HTTP: as many people as crashTotal says send at once, each from a
// browser of its own, every fifth with a signed istanza; the program is killed with -9 in
// the middle, three times, and started again, and PostgreSQL crashes besides. Who gets an
// error sends again, as people do. Every receipt that anybody got is there afterwards, byte
// for byte, with its document; nothing was sent twice; the numbers have no gap and no
// double.
func TestKilledBehindHTTP(t *testing.T) {
	program := filepath.Join(t.TempDir(), "citel-server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			s := newScene(t, program, storetest.Address(t, e), crashTotal(t))
			s.start()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			got := make(chan *sender, len(s.all))
			for _, x := range s.all {
				go func() {
					x.err = x.walk(ctx)
					got <- x
				}()
			}
			for n := range len(s.all) {
				x := <-got
				if x.err != nil {
					t.Fatalf("%v\n%s", x.err, s.log())
				}
				switch step := len(s.all) / (kills + 1); {
				case (n+1)%step == 0 && (n+1)/step <= kills:
					s.kill()
					s.start()
				case e == store.Postgres && n == step/2:
					storetest.Crash(t)
				}
			}
			s.afterwards()
			s.kill()
			s.books()
		})
	}
}

// scene is a server with its people.
type scene struct {
	t                *testing.T
	program, dir, db string
	address          string
	pki              *pki.PKI
	cmd              *exec.Cmd
	output           *os.File
	all              []*sender
}

func newScene(t *testing.T, program, db string, total int) *scene {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, program: program, dir: storetest.Dir(t), db: db, pki: p}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		s.address = l.Addr().String()
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.CRL(p.CNS)
	if err := errors.Join(err, os.WriteFile(s.file("cns.pem"), p.AnchorsPEM(pki.CNS), 0o600), os.WriteFile(s.file("cns.crl"), list, 0o600)); err != nil {
		t.Fatal(err)
	}
	if s.output, err = os.Create(s.file("server.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.output.Close() })
	s.open(func(r *rooms.Rooms) {
		place := town.Join(t, r)
		transport := &http.Transport{MaxIdleConnsPerHost: total, MaxConnsPerHost: 200}
		t.Cleanup(transport.CloseIdleConnections)
		for i := range total {
			x := &sender{n: i, base: "http://" + s.address, signs: i%5 == 0, client: &http.Client{Transport: transport, Timeout: time.Minute,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
			x.cookie = s.login(place, x)
			s.all = append(s.all, x)
		}
	})
	return s
}

func (s *scene) file(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) log() string {
	data, _ := os.ReadFile(s.file("server.log"))
	return string(data[max(0, len(data)-4000):])
}

// open works on the database while no server has it.
func (s *scene) open(f func(r *rooms.Rooms)) {
	s.t.Helper()
	db, err := store.OpenURL(s.t.Context(), s.db, s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ring, err := keys.Open(s.dir, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	f(rooms.New(rooms.Options{Store: db, Keys: ring, Origin: "http://" + s.address, Demo: true}))
}

// login is the session of a browser that has just proved its level: a card for those who
// sign, a debole credential for the others.
func (s *scene) login(place *town.Town, x *sender) (cookie string) {
	s.t.Helper()
	ctx, w := s.t.Context(), httptest.NewRecorder()
	first, err := place.Citizens.StartAt(ctx, w, "prova")
	if err != nil {
		s.t.Fatal(err)
	}
	to := session.Session{Level: session.Debole, Credential: fmt.Sprintf("crash-%d", x.n)}
	err = place.Store.Tx(ctx, func(tx *sql.Tx) error {
		if x.signs {
			who := pki.Invented(x.n)
			p, err := person.EnsureAccount(ctx, tx, person.Natural, who.CF, who.Given, who.Surname, time.Now())
			if err != nil {
				return err
			}
			x.identity = s.pki.MustIssue(s.t, pki.CNS, pki.P256, who)
			to = session.Session{Level: session.Forte, Person: p.ID, Profile: "cns", Certificate: x.identity.Cert.Raw}
		}
		if !x.signs {
			now := store.Time(time.Now())
			if _, err := tx.ExecContext(ctx, "INSERT INTO credential (id, kind, ente, handle, state, given, family, email, created, changed) VALUES (?,'debole','prova',?,'active','Prova','Esempio',?,?,?)",
				to.Credential, to.Credential+"@example.org", to.Credential+"@example.org", now, now); err != nil {
				return err
			}
		}
		w = httptest.NewRecorder()
		_, err := place.Citizens.RiseAt(ctx, tx, w, first, to, "prova")
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		cookie += c.Name + "=" + c.Value + "; "
	}
	return strings.TrimSuffix(cookie, "; ")
}

func (s *scene) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, "serve", "--demo", "--behind-proxy", "--listen", s.address, "--origin", "http://"+s.address, "--data", s.dir, //nolint:gosec // our own program
		"--ente", "prova", "--name", "Comune di Prova", "--trust", "cns="+s.file("cns.pem"), "--crl", s.file("cns.crl"))
	s.cmd.Env = append(os.Environ(), "DATABASE_URL="+s.db)
	s.cmd.Stderr = s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
}

func (s *scene) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err, s.log())
	}
	_ = s.cmd.Wait() // it was killed
}

// sender is somebody at a browser, who does not give up.
type sender struct {
	n            int
	base, cookie string
	signs        bool
	identity     *pki.Identity
	client       *http.Client
	err          error

	id       string
	receipt  []byte
	document []byte
}

// ask sends a request until something answers that is no failure of the server.
func (x *sender) ask(ctx context.Context, method, path, kind string, body []byte, header ...string) (int, string, []byte, error) {
	for {
		status, location, data, err := x.once(ctx, method, path, kind, body, header...)
		if err == nil && status < 500 {
			return status, location, data, nil
		}
		select {
		case <-ctx.Done():
			return 0, "", nil, fmt.Errorf("%d: %s %s: %d: %w", x.n, method, path, status, errors.Join(err, ctx.Err()))
		case <-time.After(time.Duration(100+x.n%50*4) * time.Millisecond):
		}
	}
}

func (x *sender) once(ctx context.Context, method, path, kind string, body []byte, header ...string) (int, string, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, x.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("Cookie", x.cookie)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.%d.%d", 2+x.n/250, 1+x.n%250)) // each at home
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := x.client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, resp.Header.Get("Location"), data, errors.Join(err, resp.Body.Close())
}

func (x *sender) get(ctx context.Context, path string) ([]byte, error) {
	status, location, data, err := x.ask(ctx, http.MethodGet, path, "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: GET %s: %d %s\n%.2000s", x.n, path, status, location, data)
	}
	return data, err
}

var (
	csrf  = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	bozza = regexp.MustCompile(`name="_bozza" value="([^"]+)"`)
	fresh = regexp.MustCompile(`/pratiche/([0-9a-f]{32})`)
)

// post sends a form of a page and gives the address that it leads to.
func (x *sender) post(ctx context.Context, page, path string, values url.Values) (string, error) {
	data, err := x.get(ctx, page)
	if err != nil {
		return "", err
	}
	for name, re := range map[string]*regexp.Regexp{"csrf": csrf, "_bozza": bozza} {
		if m := re.FindSubmatch(data); m != nil {
			values.Set(name, string(m[1]))
		}
	}
	status, location, body, err := x.ask(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(values.Encode()))
	if err == nil && status != http.StatusSeeOther {
		err = fmt.Errorf("%d: POST %s: %d\n%.3000s", x.n, path, status, body)
	}
	return location, err
}

func (x *sender) answers() (service string, steps int, values url.Values) {
	values = url.Values{"_passo": {"1"}, "_script": {"1"}, "_vai": {"avanti"}, "privacy": {"yes"}, "version": {"1"}, "warned": {"yes"}}
	fields := map[string]string{"topic": "waste", "subject": fmt.Sprintf("Cassonetto %d", x.n), "text": "È pieno"}
	service, steps = "instradamento", 1
	if x.signs {
		child := pki.Child(1)
		service, steps = "iscrizione-nido", nurserySteps
		values.Set("version", "2")
		fields = map[string]string{"child-cf": child.CF, "child-given": "Bimba", "child-family": "Esempio", "child-born": "2024-05-01", "relation": "parent", "email": "genitore@example.org",
			"other": "none", "first": "girasole", "time": "full", "vaccination": "done"}
	}
	for k, v := range fields {
		values.Set(k, v)
	}
	return service, steps, values
}

// walk goes from the service's form to the receipt.
func (x *sender) walk(ctx context.Context) error {
	service, steps, values := x.answers()
	at, err := x.post(ctx, "/servizi/"+service+"/compila", "/servizi/"+service, values)
	if err != nil {
		return err
	}
	m := fresh.FindStringSubmatch(at)
	if m == nil {
		return fmt.Errorf("%d: no draft, but %s", x.n, at)
	}
	x.id = m[1]
	mine := "/pratiche/" + x.id
	for n := 2; n <= steps; n++ {
		if _, err := x.post(ctx, fmt.Sprintf("%s/passo/%d", mine, n), fmt.Sprintf("%s/passo/%d", mine, n), values); err != nil {
			return err
		}
	}
	// A crash may leave it anywhere between two pages: each leads on.
	for at = mine + "/riepilogo"; at != mine; {
		switch {
		case strings.HasSuffix(at, "/riepilogo"):
			at, err = x.page(ctx, at, at, values)
		case strings.Contains(at, "/firma") && x.signs:
			at, err = x.sign(ctx, mine)
		case strings.Contains(at, "/firma"):
			at, err = x.page(ctx, at, mine+"/invia", values)
		default:
			err = fmt.Errorf("%d: it leads to %s", x.n, at)
		}
		if err != nil {
			return err
		}
	}
	if x.receipt, err = x.get(ctx, mine+"/ricevuta.pdf"); err == nil {
		x.document, err = x.get(ctx, mine+"/documento.pdf")
	}
	return err
}

// page sends a page's form; a page that has moved on says where it is.
func (x *sender) page(ctx context.Context, page, path string, values url.Values) (string, error) {
	status, location, _, err := x.ask(ctx, http.MethodGet, page, "", nil)
	if err != nil || status == http.StatusSeeOther {
		return location, err
	}
	return x.post(ctx, page, path, values)
}

func (x *sender) sign(ctx context.Context, mine string) (string, error) {
	status, location, html, err := x.ask(ctx, http.MethodGet, mine+"/firma", "", nil)
	if err != nil || status == http.StatusSeeOther {
		return location, err
	}
	content, err := x.get(ctx, mine+"/documento.pdf")
	if err != nil {
		return "", err
	}
	var signed bytes.Buffer
	err = cades.Sign(ctx, cades.SignOptions{Certificate: x.identity.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return x.identity.Key.Sign(rand.Reader, sum, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &signed)
	if err != nil {
		return "", err
	}
	token := csrf.FindSubmatch(html)
	if token == nil {
		return "", fmt.Errorf("%d: no form to sign", x.n)
	}
	status, _, body, err := x.ask(ctx, http.MethodPost, "/api"+mine+"/firma", "application/pkcs7-mime", signed.Bytes(), "X-CSRF-Token", string(token[1]))
	if err != nil {
		return "", err
	}
	var answer struct{ Next string }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		return "", fmt.Errorf("%d: signature: %d\n%.2000s", x.n, status, body)
	}
	return answer.Next, nil
}

// afterwards reads again what everybody got, from the server that was started last.
func (s *scene) afterwards() {
	s.t.Helper()
	var wait sync.WaitGroup
	for _, x := range s.all {
		wait.Go(func() {
			receipt, err1 := x.get(s.t.Context(), "/pratiche/"+x.id+"/ricevuta.pdf")
			document, err2 := x.get(s.t.Context(), "/pratiche/"+x.id+"/documento.pdf")
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(receipt, x.receipt) || !bytes.Equal(document, x.document) || !bytes.HasPrefix(receipt, []byte("%PDF-")) {
				s.t.Errorf("%d: %s: the receipt or its document is another one, or gone: %v", x.n, x.id, err)
			}
		})
	}
	wait.Wait()
}

// books compares receipts, applications, register and log, with no server on them.
func (s *scene) books() {
	s.t.Helper()
	s.open(func(r *rooms.Rooms) {
		ctx := s.t.Context()
		count := func(q string) int { return storetest.Count(s.t, r.Store, q) }
		numbers := map[string]int{}
		for _, x := range s.all {
			var year, number int
			var sum []byte
			if err := r.Store.QueryRowContext(ctx, "SELECT year, number, sha256 FROM application WHERE id = ? AND state = 'sent'", x.id).Scan(&year, &number, &sum); err != nil {
				s.t.Errorf("%d: %s is lost: %v", x.n, x.id, err)
				continue
			}
			n := register.Number{Year: year, Number: number}
			if before, ok := numbers[n.String()]; ok {
				s.t.Errorf("%s is of %d and %d", n, before, x.n)
			}
			numbers[n.String()] = x.n
			e, err := r.Register.Get(ctx, "prova", n)
			if got := sha256.Sum256(x.document); err != nil || e.Document != x.id || !bytes.Equal(e.SHA256, sum) || !bytes.Equal(got[:], sum) {
				s.t.Errorf("%d: %s: register %+v, document %x, %v", x.n, x.id, e, got, err)
			}
			if text := s.text(x.receipt); !strings.Contains(text, n.String()) || !strings.Contains(strings.Join(strings.Fields(text), ""), fmt.Sprintf("%x", sum)) {
				s.t.Errorf("%d: its receipt does not have %s and %x\n%s", x.n, n, sum, text)
			}
		}
		last, gaps, err := r.Register.Verify(ctx, "prova", time.Now().In(register.Rome()).Year())
		if err != nil || len(gaps) > 0 || last != len(s.all) {
			s.t.Error("register:", last, gaps, err)
		}
		for what, n := range map[string]int{
			"entries": count("SELECT count(*) FROM register_entry"), "documents": count("SELECT count(DISTINCT document) FROM register_entry"),
			"applications sent": count("SELECT count(*) FROM application WHERE number > 0"), "lines in the log": count("SELECT count(*) FROM journal WHERE kind = 'submitted'"),
		} {
			if n != len(s.all) {
				s.t.Errorf("%d %s of %d", n, what, len(s.all))
			}
		}
	})
}

func (s *scene) text(pdf []byte) string {
	cmd := exec.CommandContext(s.t.Context(), "pdftotext", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("pdftotext: %v (make deps)", err)
	}
	return string(out)
}

// nurserySteps are the sections of iscrizione-nido.
const nurserySteps = 8
