// Package tsa is a time-stamping authority for tests: openssl's, behind HTTP on
// loopback, so that no code of ours judges code of ours.
package tsa

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/citel-pa/citel/testdata/pki"
)

const config = `[ tsa ]
default_tsa = tsa1
[ tsa1 ]
serial = %[1]s/serial
signer_digest = sha256
default_policy = 2.25.302851259457030368502061323431794031222
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`

// Start serves an authority and gives its address.
func Start(tb testing.TB, id *pki.Identity) string {
	tb.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		tb.Fatal("openssl is missing: sudo apt-get install openssl")
	}
	dir := tb.TempDir()
	key, err := pki.KeyPEM(id.Key)
	if err != nil {
		tb.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"tsa.cnf": fmt.Appendf(nil, config, dir), "key.pem": key, "cert.pem": pki.EncodePEM(id.Cert), "chain.pem": pki.EncodePEM(id.Chain...), "serial": []byte("01\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	var one sync.Mutex // the serial is a file
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		query := filepath.Join(dir, "query.tsq")
		if err != nil || os.WriteFile(query, body, 0o600) != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			http.Error(w, "not a query", http.StatusBadRequest)
			return
		}
		cmd := exec.CommandContext(r.Context(), "openssl", "ts", "-reply", "-config", filepath.Join(dir, "tsa.cnf"), "-queryfile", query, //nolint:gosec // fixed words
			"-signer", filepath.Join(dir, "cert.pem"), "-inkey", filepath.Join(dir, "key.pem"), "-chain", filepath.Join(dir, "chain.pem"))
		var out, problem bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problem
		if err := cmd.Run(); err != nil {
			http.Error(w, problem.String(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(out.Bytes())
	}))
	tb.Cleanup(server.Close)
	return server.URL
}
