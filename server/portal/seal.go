package portal

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"
)

// sealCertificate is one that the ente's seals were made with.
type sealCertificate struct {
	Subject, Serial string
	SHA256          string // of the DER, as `openssl x509 -fingerprint -sha256` has it
	From, Until     time.Time
}

// sealPEM gives the certificates of the ente's seal, those of the past too: what `citel-agent
// verify --trust` takes.
func (p *Portal) sealPEM(r *request) error {
	text, err := r.sealText()
	if err != nil {
		return err
	}
	return r.file(io.NopCloser(bytes.NewReader(text)), "application/x-pem-file", "attachment", sealName(r.ente.Code))
}

// sealText: receipts of an ente that has left are verified with what it left behind.
func (r *request) sealText() ([]byte, error) {
	if r.ente.Active {
		return r.p.Rooms.Seals.PEM(r.ctx(), r.ente.Code, r.ente.Name)
	}
	text, err := r.p.Rooms.Seals.Made(r.ctx(), r.ente.Code)
	if err == nil && len(text) == 0 {
		err = errNotFound
	}
	return text, err
}

func sealName(code string) string { return "sigillo-" + code + ".pem" }

// sealPage says in plain words how a receipt is verified years later.
func (p *Portal) sealPage(r *request) error {
	text, err := r.sealText()
	if err != nil {
		return err
	}
	var all []sealCertificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("portal: %w", err)
		}
		sum := sha256.Sum256(block.Bytes)
		all = append(all, sealCertificate{c.Subject.CommonName, strings.ToUpper(c.SerialNumber.Text(16)), colons(sum[:]), c.NotBefore, c.NotAfter})
	}
	return r.render("sigillo", "pratica.seal-title", map[string]any{"All": all, "Name": sealName(r.ente.Code)})
}

// colons writes a fingerprint as people compare it.
func colons(sum []byte) string {
	text := strings.ToUpper(hex.EncodeToString(sum))
	var out []string
	for i := 0; i < len(text); i += 2 {
		out = append(out, text[i:i+2])
	}
	return strings.Join(out, ":")
}
