package verification

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// Errors of a body that is read.
var (
	errTooLarge = errors.New("verification: the body is larger than allowed")
	errTooSlow  = errors.New("verification: the body comes too slowly")
)

// pacedBody is a request's body under limits: of size, of the time between two pieces,
// of the whole time, and of the pace, so that nobody holds a place with a byte a second.
type pacedBody struct {
	body    io.Reader
	control *http.ResponseController
	limits  *Limits
	left    int64
	read    int64
	start   time.Time
	err     error
}

func (s *Service) paced(w http.ResponseWriter, r *http.Request) *pacedBody {
	return &pacedBody{body: r.Body, control: http.NewResponseController(w), limits: &s.Limits, left: s.Limits.Bytes, start: time.Now()}
}

// Read reads the next piece.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	now := time.Now()
	end := b.start.Add(b.limits.Time)
	if over := now.Sub(b.start) - b.limits.Grace; !now.Before(end) || over > 0 && float64(b.read) < over.Seconds()*float64(b.limits.Pace) {
		b.err = errTooSlow
		return 0, b.err
	}
	deadline := now.Add(b.limits.Idle)
	if end.Before(deadline) {
		deadline = end
	}
	// Where a deadline cannot be set (a test's recorder), the server's own holds.
	_ = b.control.SetReadDeadline(deadline)
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.left -= int64(n); b.left < 0 {
		b.err = errTooLarge
		return 0, b.err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTooSlow
	}
	if err != nil {
		b.err = err
	}
	return n, err
}
