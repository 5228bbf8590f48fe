package nativehost

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/authtoken"
)

// Limits, in bytes. MaxMessage is what the published extension and application hold
// themselves to; browsers take answers of up to 1 MiB.
const (
	MaxMessage = 8 << 10
	maxAnswer  = 1 << 20
)

// Commands of the published protocol.
const (
	commandCertificate  = "get-signing-certificate"
	commandAuthenticate = "authenticate"
	commandSign         = "sign"
	commandQuit         = "quit"
)

// codeError is a refusal with a code of the wire, and perhaps what was wrong.
type codeError struct {
	code wire.Code
	why  string
}

func (e *codeError) Error() string {
	if e.why == "" {
		return "nativehost: " + string(e.code)
	}
	return fmt.Sprintf("nativehost: %s: %s", e.code, e.why)
}

func malformed(format string, args ...any) error {
	return &codeError{wire.CodeMalformed, fmt.Sprintf(format, args...)}
}

// readMessage reads one message: a length of 32 bits in native byte order, and so many
// bytes (developer.chrome.com, Native messaging protocol). io.EOF: the browser has gone.
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, malformed("a length cut off")
		}
		return nil, err
	}
	size := binary.NativeEndian.Uint32(head[:])
	if size > MaxMessage {
		return nil, &codeError{wire.CodeTooLarge, fmt.Sprintf("a message of %d bytes; %d are possible", size, MaxMessage)}
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, malformed("a message cut off")
	}
	return data, nil
}

// writeMessage sends one message in one write.
func writeMessage(w io.Writer, v any) error {
	var b bytes.Buffer
	b.Write(make([]byte, 4))
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("nativehost: %w", err)
	}
	data := bytes.TrimRight(b.Bytes(), "\n")
	if len(data)-4 > maxAnswer {
		return fmt.Errorf("nativehost: an answer of %d bytes", len(data)-4)
	}
	binary.NativeEndian.PutUint32(data, uint32(len(data)-4)) //nolint:gosec // limited above
	_, err := w.Write(data)
	return err
}

// order is one command, read and checked in itself.
type order struct {
	command     string
	origin      string
	lang        string
	nonce       string
	certificate []byte // DER
	hash        []byte
	function    string
}

// maxLanguage: RFC 5646, 4.4.1, Working with Limited Buffer Sizes.
const maxLanguage = 35

// parse reads a command. Nothing of the browser gets further without having come
// through here. The origin is checked like the WebSocket's: https, and as a browser
// writes it.
func parse(data []byte) (*order, error) {
	var m struct {
		Command   *string          `json:"command"`
		Arguments *json.RawMessage `json:"arguments"`
	}
	if !utf8.Valid(data) || !isObject(data) || json.Unmarshal(data, &m) != nil {
		return nil, malformed("not a JSON object")
	}
	if m.Command == nil || m.Arguments == nil || !isObject(*m.Arguments) {
		return nil, malformed("a command is a text and its arguments an object")
	}
	var a struct {
		Origin         string `json:"origin"`
		Lang           string `json:"lang"`
		ChallengeNonce string `json:"challengeNonce"`
		Certificate    string `json:"certificate"`
		Hash           string `json:"hash"`
		HashFunction   string `json:"hashFunction"`
	}
	if json.Unmarshal(*m.Arguments, &a) != nil {
		return nil, malformed("an argument that is no text")
	}
	o := &order{command: *m.Command, origin: a.Origin, lang: a.Lang, nonce: a.ChallengeNonce, function: a.HashFunction}
	switch o.command {
	case commandQuit:
		return o, nil
	case commandAuthenticate, commandCertificate, commandSign:
	default:
		return nil, &codeError{wire.CodeUnknownType, fmt.Sprintf("no command %.40q", o.command)}
	}
	if len(o.lang) > maxLanguage {
		return nil, malformed("a language of %d bytes", len(o.lang))
	}
	if _, err := authtoken.ParseOrigin(o.origin, false); err != nil {
		return nil, &codeError{wire.CodeOriginRefused, err.Error()}
	}
	if o.command == commandSign {
		var err error
		if o.certificate, err = base64.StdEncoding.Strict().DecodeString(a.Certificate); err != nil || len(o.certificate) == 0 {
			return nil, malformed("the certificate is not base64")
		}
		if o.hash, err = base64.StdEncoding.Strict().DecodeString(a.Hash); err != nil {
			return nil, malformed("the hash is not base64")
		}
		if _, err := signing.CheckHash(o.function, o.hash); err != nil {
			return nil, malformed("%v", err)
		}
	}
	return o, nil
}

func isObject(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}
