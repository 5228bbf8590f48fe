package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// apiMB is how large the uploads are; CITEL_API_MB=2048 does it with two gigabytes.
func apiMB(t *testing.T) int64 {
	t.Helper()
	if s := os.Getenv("CITEL_API_MB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return int64(n)
	}
	return 256
}

// stretch is a document of any length, made as it is read.
type stretch struct{ left int64 }

// Read gives the next bytes.
func (s *stretch) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.left))
	for i := range p[:n] {
		p[i] = 'a' + byte((s.left-int64(i))%23)
	}
	s.left -= int64(n)
	return n, nil
}

// A portal uses the interface of the real program with a key that the real command made:
// an enveloping and a detached signature many times as large as the server may grow.
func TestInterfaceForPortals(t *testing.T) {
	t.Parallel()
	s := town(t)
	p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	keyCommand := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(s.Server, append([]string{"api-key"}, args...)...).Output() //nolint:gosec // our own program
		if err != nil {
			t.Fatalf("api-key %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	where := []string{"--data", s.Dir + "/data", "--ente", "prova"}
	key := keyCommand(append([]string{"add", "--label", "portale"}, where...)...)
	if list := keyCommand(append([]string{"list"}, where...)...); !strings.Contains(list, "portale") || strings.Contains(list, key) || !strings.Contains(list, "in use") {
		t.Errorf("list: %s", list)
	}
	post := func(kind string, body io.Reader) (int, *validation.Report) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/api/v1/verifications", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		r := &validation.Report{}
		if err := json.NewDecoder(resp.Body).Decode(r); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, r
	}
	id := s.PKI.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	size := apiMB(t) << 20
	sign := func(detached bool, w io.Writer) error {
		return cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, Detached: detached, SigningTime: time.Now(),
			Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, d, o)
			},
		}, &stretch{size}, size, w)
	}
	passed := func(what string, status int, r *validation.Report) {
		t.Helper()
		if status != http.StatusOK || len(r.Signatures) != 1 || r.Signatures[0].Indication != validation.TotalPassed || r.Signatures[0].Content.Bytes != size || r.Signatures[0].Signer.CodiceFiscale != pki.Citizens[0].CF {
			t.Errorf("%s: %d %+v", what, status, r)
		}
	}
	// The demo's server hashes its operators' passwords before it listens, each in 19 MiB;
	// how much of that is still there is the garbage collector's affair.
	before, err := p.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	peak := func(what string) {
		t.Helper()
		if m, err := p.PeakMemory(); err != nil || m > before+limit {
			t.Errorf("%s: the server took %d MB, %d before (%v)", what, m>>20, before>>20, err)
		} else {
			t.Logf("%s: %d MB at most for %d MB, %d before", what, m>>20, size>>20, before>>20)
		}
	}
	piped := func(write func(io.Writer) error) io.Reader {
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(write(w)) }()
		return r
	}
	begin := time.Now()
	status, r := post("application/pkcs7-mime", piped(func(w io.Writer) error { return sign(false, w) }))
	passed("enveloping", status, r)
	peak("enveloping")
	var p7s bytes.Buffer
	if err := sign(true, &p7s); err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	m := multipart.NewWriter(writer)
	go func() {
		file, err := m.CreateFormFile("file", "a.p7s")
		if err == nil {
			_, err = file.Write(p7s.Bytes())
		}
		var content io.Writer
		if err == nil {
			content, err = m.CreateFormFile("content", "a")
		}
		if err == nil {
			_, err = io.Copy(content, &stretch{size})
		}
		if err == nil {
			err = m.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	status, r = post(m.FormDataContentType(), reader)
	passed("detached", status, r)
	peak("detached")
	t.Logf("both in %s", time.Since(begin).Round(time.Millisecond))
	keyCommand(append([]string{"revoke", strings.Split(key, "_")[1]}, where...)...)
	if status, _ = post("application/pkcs7-mime", strings.NewReader("x")); status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d", status)
	}
}
