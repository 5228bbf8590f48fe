package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"github.com/citel-pa/citel/pkcs/cms"
)

// Poster sends a body to an address and gives at most limit bytes of the answer;
// trust.Fetcher is one.
type Poster interface {
	Post(ctx context.Context, address, contentType string, body []byte, limit int64) ([]byte, error)
}

// Client asks one authority for tokens over HTTP (RFC 3161, 3.4).
type Client struct {
	URL  string
	Post Poster
}

// ErrMismatch means a token that answers another request.
var ErrMismatch = errors.New("timestamp: the token is not the answer to the request")

// Stamp gets a token over a digest. The answer is compared with the request; who
// signed it is for whoever uses it to judge.
func (c *Client) Stamp(ctx context.Context, digest []byte, h crypto.Hash) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	req, err := NewRequest(h, digest, nonce)
	if err != nil {
		return nil, err
	}
	answer, err := c.Post.Post(ctx, c.URL, "application/timestamp-query", req, MaxToken)
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	token, err := ParseResponse(answer)
	if err != nil {
		return nil, err
	}
	m, err := cms.Parse(bytes.NewReader(token), cms.ParseOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if m.ContentType != cms.OIDTSTInfo {
		return nil, fmt.Errorf("%w: content type %s", ErrMalformed, m.ContentType)
	}
	info, err := ParseInfo(m.Head)
	if err != nil {
		return nil, err
	}
	if info.Nonce == nil || info.Nonce.Cmp(nonce) != 0 || info.Hash != h || subtle.ConstantTimeCompare(info.Imprint, digest) != 1 {
		return nil, ErrMismatch
	}
	return token, nil
}
