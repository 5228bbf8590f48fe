package gateway

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/profile"
)

// decode reads one text message of a page. It gives one of the message types of
// agent/wire, checked in itself, or the error to answer with. Nothing of a page
// gets further without having come through here.
func decode(data []byte, now time.Time) (any, *wire.Error) {
	var head wire.Head
	if !utf8.Valid(data) || unmarshal(data, &head) != nil || head.Type == "" || head.ID < 1 || head.ID > wire.MaxID {
		return nil, wireError(0, wire.CodeMalformed)
	}
	id := head.ID
	bad := func(c wire.Code) (any, *wire.Error) { return nil, wireError(id, c) }
	switch head.Type {
	case wire.TypeHello:
		return check(data, id, func(m *wire.Hello) wire.Code {
			switch {
			case m.Version != wire.Version:
				return wire.CodeVersionUnsupported
			case m.Challenge != "" && challenge(m.Challenge) == nil:
				return wire.CodeMalformed
			}
			return ""
		})
	case wire.TypeLogin:
		return check(data, id, func(m *wire.Login) wire.Code {
			switch {
			case m.Challenge != "" && challenge(m.Challenge) == nil, len(m.Language) > maxLanguage:
				return wire.CodeMalformed
			case m.Expires.IsZero(), signing.CheckNonce(m.Nonce, m.Expires, now) != nil:
				return wire.CodeNonceInvalid
			}
			return ""
		})
	case wire.TypeNonce:
		return check(data, id, func(m *wire.Nonce) wire.Code {
			if m.Expires.IsZero() || signing.CheckNonce(m.Nonce, m.Expires, now) != nil {
				return wire.CodeNonceInvalid
			}
			return ""
		})
	case wire.TypeSign:
		return check(data, id, checkSign)
	case wire.TypeDocument:
		return check(data, id, func(m *wire.Document) wire.Code {
			if m.Index < 0 || m.Index >= wire.MaxDocuments || m.Size < 1 || !isName(m.Name) || !isMediaType(m.MediaType) {
				return wire.CodeMalformed
			}
			return ""
		})
	case wire.TypeCancel:
		return check(data, id, func(*wire.Cancel) wire.Code { return "" })
	case wire.TypeCertificate:
		return check(data, id, func(m *wire.Certificate) wire.Code {
			if len(m.Language) > maxLanguage {
				return wire.CodeMalformed
			}
			return ""
		})
	case wire.TypeSignHash:
		return check(data, id, checkSignHash)
	}
	return bad(wire.CodeUnknownType)
}

const (
	maxLanguage      = 35 // RFC 5646, 4.4.1, Working with Limited Buffer Sizes
	maxCodiceFiscale = 16
)

func checkSign(m *wire.Sign) wire.Code {
	known := false
	for _, f := range signing.Formats {
		known = known || m.Format == f
	}
	switch {
	case challenge(m.Challenge) == nil, m.Documents < 1, len(m.CodiceFiscale) > maxCodiceFiscale, len(m.Language) > maxLanguage:
		return wire.CodeMalformed
	case m.Documents > wire.MaxDocuments:
		return wire.CodeTooLarge
	case !known:
		return wire.CodeFormatUnsupported
	}
	return ""
}

// checkSignHash: whoever gets a chosen hash signed by a card's login key can log in as
// that person anywhere, so a certificate that may be one, or that is none, ends here.
// The card's own certificate is judged by agent/signing.
func checkSignHash(m *wire.SignHash) wire.Code {
	if len(m.Certificate) > base64.StdEncoding.EncodedLen(wire.MaxDER) {
		return wire.CodeMalformed
	}
	der, err := base64.StdEncoding.Strict().DecodeString(m.Certificate)
	if err != nil {
		return wire.CodeMalformed
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || !profile.SignsHashes(cert) {
		return wire.CodeHashRefused
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(m.Hash)
	if err != nil || len(m.Language) > maxLanguage {
		return wire.CodeMalformed
	}
	if _, err := signing.CheckHash(m.HashFunction, hash); err != nil {
		return wire.CodeMalformed
	}
	return ""
}

// check reads the whole message and judges it.
func check[M any](data []byte, id int64, judge func(*M) wire.Code) (any, *wire.Error) {
	m := new(M)
	if unmarshal(data, m) != nil {
		return nil, wireError(id, wire.CodeMalformed)
	}
	if code := judge(m); code != "" {
		return nil, wireError(id, code)
	}
	return m, nil
}

// unmarshal takes exactly one JSON object.
func unmarshal(data []byte, into any) error {
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '{' {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(data, into)
}

// challenge gives the bytes of a page's challenge, nil when it is none.
func challenge(text string) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != wire.ChallengeLen {
		return nil
	}
	return b
}

// isName: a file's name, not a path, and nothing that could move a cursor.
func isName(name string) bool {
	return len(name) > 0 && len(name) <= wire.MaxName && utf8.ValidString(name) && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r < ' ' || r >= 0x7f && r <= 0x9f || r == '/' || r == '\\' || r == 0x2028 || r == 0x2029
		})
}

// isMediaType: type "/" subtype of restricted-name characters (RFC 6838, 4.2,
// Naming Requirements), without parameters.
func isMediaType(s string) bool {
	if len(s) > wire.MaxMediaType || strings.Count(s, "/") != 1 || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '/' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("!#$&-^_.+", r))
	})
}

func wireError(id int64, code wire.Code) *wire.Error {
	return &wire.Error{Head: wire.Head{Type: wire.TypeError, ID: id}, Code: code}
}
