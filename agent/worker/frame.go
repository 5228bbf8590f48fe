package worker

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // digest lengths are checked on both sides
	_ "crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of what the two sides tell each other.
const (
	maxFrame       = 1 << 20
	maxPIN         = 255
	maxIdentities  = 64
	maxCertificate = 64 << 10
	maxSignature   = 8 << 10
	maxText        = 512
)

// errFrame: what came is no frame, order or answer. Nothing after it can be
// trusted, so the helper is replaced.
var errFrame = errors.New("worker: not a valid frame")

// operation is what an order asks for.
type operation string

// start loads the module and initialises it; it comes first and once. open
// prepares a key, unlock enters the PIN, release closes what open opened.
const (
	opStart      operation = "start"
	opPresent    operation = "present"
	opIdentities operation = "identities"
	opOpen       operation = "open"
	opUnlock     operation = "unlock"
	opSign       operation = "sign"
	opRelease    operation = "release"
)

// order is what the agent sends. A PIN is not in it: it follows an unlock order
// with PIN set, in a frame of its own that is nothing but the PIN.
type order struct {
	N      uint64    `json:"n"`
	Op     operation `json:"op"`
	Module string    `json:"module,omitempty"`
	// Token and Certificate name a key: the token's serial number and the
	// certificate's SHA-256.
	Token       string `json:"token,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	PIN         bool   `json:"pin,omitempty"`
	Digest      []byte `json:"digest,omitempty"`
	Hash        string `json:"hash,omitempty"`
	PSS         bool   `json:"pss,omitempty"`
	Salt        int    `json:"salt,omitempty"`
}

// failure is why an order was not carried out.
type failure string

const (
	failModule      failure = "module"    // the module's error without a meaning of its own
	failNoReader    failure = "no-reader" // no slot
	failNoToken     failure = "no-token"  // no token in any slot
	failRemoved     failure = "removed"   // the token went away
	failCancelled   failure = "cancelled" // on the reader's keys
	failMechanism   failure = "mechanism" // the token cannot sign so
	failPINWrong    failure = "pin-wrong"
	failPINLocked   failure = "pin-locked"
	failPINExpired  failure = "pin-expired"
	failPINLength   failure = "pin-length"
	failPINUnknown  failure = "pin-unknown" // an error while the PIN was with the module
	failOrder       failure = "order"       // an order that makes no sense here
	failTokenChange failure = "changed"     // token or certificate are not there any more
)

var failures = map[failure]bool{
	"": true, failModule: true, failNoReader: true, failNoToken: true, failRemoved: true, failCancelled: true,
	failMechanism: true, failPINWrong: true, failPINLocked: true, failPINExpired: true, failPINLength: true,
	failPINUnknown: true, failOrder: true, failTokenChange: true,
}

// answer is what the helper sends back, one for each order.
type answer struct {
	N       uint64  `json:"n"`
	Failure failure `json:"failure,omitempty"`
	// Detail is for the log.
	Detail     string     `json:"detail,omitempty"`
	Tokens     int        `json:"tokens,omitempty"`
	Identities []identity `json:"identities,omitempty"`
	Signature  []byte     `json:"signature,omitempty"`
	// FinalTry and Locked are the token's flags after a PIN.
	FinalTry bool `json:"finalTry,omitempty"`
	Locked   bool `json:"locked,omitempty"`
}

// identity is a certificate with a key, and the token it is on.
type identity struct {
	Certificate []byte `json:"certificate"`
	Token       string `json:"token"` // serial number
	Label       string `json:"label,omitempty"`
	Reader      string `json:"reader,omitempty"`
	CountLow    bool   `json:"countLow,omitempty"`
	FinalTry    bool   `json:"finalTry,omitempty"`
	Locked      bool   `json:"locked,omitempty"`
	Pinpad      bool   `json:"pinpad,omitempty"`
	MinPIN      int    `json:"minPIN,omitempty"`
	MaxPIN      int    `json:"maxPIN,omitempty"`
}

// hashes that are signed, by the names of orders.
var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

// writeFrame sends payload with its length before it, in one write, and wipes
// the buffer it made.
func writeFrame(w io.Writer, payload []byte) error {
	if len(payload) == 0 || len(payload) > maxFrame {
		return fmt.Errorf("%w: %d bytes to send", errFrame, len(payload))
	}
	frame := make([]byte, 4+len(payload))
	defer clear(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	copy(frame[4:], payload)
	_, err := w.Write(frame)
	return err
}

// readFrame reads one frame of at most limit bytes. The buffer is made once, so
// that whoever reads a PIN can wipe all of it.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > uint32(limit) {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		clear(payload)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return payload, nil
}

func writeJSON(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, data)
}

// strict reads JSON that is one value with known fields and nothing after it.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errFrame)
	}
	return nil
}

// parseOrder is the helper's reading.
func parseOrder(data []byte) (order, error) {
	var o order
	if err := strict(data, &o); err != nil {
		return order{}, err
	}
	bad := func(why string) (order, error) { return order{}, fmt.Errorf("%w: %s", errFrame, why) }
	if len(o.Token) > maxText || len(o.Certificate) > maxText {
		return bad("a name is too long")
	}
	switch o.Op {
	case opStart:
		if o.Module == "" {
			return bad("no module")
		}
	case opSign:
		if h, ok := hashes[o.Hash]; !ok || len(o.Digest) != h.Size() {
			return bad("digest and hash do not fit")
		}
	case opPresent, opIdentities, opOpen, opUnlock, opRelease:
	default:
		return bad("an unknown operation")
	}
	if o.PIN && o.Op != opUnlock {
		return bad("a PIN for nothing")
	}
	return o, nil
}

// parseAnswer is the agent's reading. The helper had a vendor's code in it: what
// it says is as good as a stranger's.
func parseAnswer(data []byte, o order) (answer, error) {
	var a answer
	if err := strict(data, &a); err != nil {
		return answer{}, err
	}
	bad := func(why string) (answer, error) { return answer{}, fmt.Errorf("%w: %s", errFrame, why) }
	switch {
	case a.N != o.N:
		return bad("an answer to another order")
	case !failures[a.Failure]:
		return bad("an unknown failure")
	case len(a.Detail) > maxText:
		return bad("a detail that is too long")
	case a.Tokens < 0 || a.Tokens > maxIdentities:
		return bad("a number of tokens")
	case len(a.Identities) > maxIdentities || len(a.Identities) > 0 && (o.Op != opIdentities || a.Failure != ""):
		return bad("identities")
	case len(a.Signature) > maxSignature || (len(a.Signature) > 0) != (o.Op == opSign && a.Failure == ""):
		return bad("a signature")
	}
	for _, i := range a.Identities {
		switch {
		case len(i.Certificate) == 0 || len(i.Certificate) > maxCertificate:
			return bad("a certificate's size")
		case len(i.Token) > maxText || len(i.Label) > maxText || len(i.Reader) > maxText:
			return bad("a name is too long")
		case i.MinPIN < 0 || i.MinPIN > maxPIN || i.MaxPIN < 0 || i.MaxPIN > maxPIN:
			return bad("a PIN's length")
		}
	}
	return a, nil
}
