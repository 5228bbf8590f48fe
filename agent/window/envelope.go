package window

import (
	"bytes"
	"crypto/x509"
	"errors"

	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/cms"
)

// errTooLarge means content that is not shown.
var errTooLarge = errors.New("window: too large to be shown")

// bounded is a buffer with a limit.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > frame.MaxShown {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// unwrap looks into a file that is signed already (.p7m): its content, and the names
// that its signatures claim. Nothing is verified here. It runs in the process that
// shows documents, which never gets a PIN.
func unwrap(data []byte) (content []byte, signers []string, ok bool) {
	var out bounded
	m, err := cms.Parse(bytes.NewReader(data), cms.ParseOptions{Extract: &out})
	if err != nil || m.Detached || len(m.Signers) == 0 {
		return nil, nil, false
	}
	for i := range m.Signers {
		for _, c := range m.Find(&m.Signers[i]) {
			if cert, err := x509.ParseCertificate(c.Raw); err == nil {
				signers = append(signers, cert.Subject.CommonName)
			}
		}
	}
	return out.Bytes(), signers, true
}
