// Package frame is what the agent and its window tell each other over the pipes
// between them: frames of a kind and a length, JSON for everything but documents
// and the PIN. One home, no behaviour; both sides import it.
package frame

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/citel-pa/citel/agent/consent"
)

// Kind is a frame's first byte.
type Kind byte

// Kinds of frames. A PIN is in a frame of its own and nothing else is: no JSON, no
// text.
const (
	JSON     Kind = 'J'
	Document Kind = 'D' // the next document's bytes, in the order of View.Documents
	PIN      Kind = 'P'
)

// Limits, in bytes. MaxShown is the largest document that is shown; larger ones are
// said to be so.
const (
	MaxJSON  = 1 << 20
	MaxShown = 32 << 20
	MaxPIN   = 64
)

// ErrFrame means that the other side does not keep to the protocol.
var ErrFrame = errors.New("frame: not a valid frame")

func limit(k Kind) int {
	switch k {
	case JSON:
		return MaxJSON
	case Document:
		return MaxShown
	case PIN:
		return MaxPIN
	}
	return -1
}

// Write sends one frame in one write, and wipes the copy it made.
func Write(w io.Writer, k Kind, payload []byte) error {
	if len(payload) > limit(k) {
		return fmt.Errorf("%w: %d bytes of %q", ErrFrame, len(payload), k)
	}
	out := make([]byte, 5+len(payload))
	defer clear(out)
	out[0] = byte(k)
	binary.BigEndian.PutUint32(out[1:], uint32(len(payload))) //nolint:gosec // limited above
	copy(out[5:], payload)
	_, err := w.Write(out)
	return err
}

// WriteJSON sends a message.
func WriteJSON(w io.Writer, m Message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return Write(w, JSON, data)
}

// Read reads one frame. The payload is made once, so that whoever gets a PIN can
// wipe all of it.
func Read(r io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	k, size := Kind(head[0]), binary.BigEndian.Uint32(head[1:])
	if most := limit(k); most < 0 || size > uint32(most) { //nolint:gosec // not negative
		return 0, nil, fmt.Errorf("%w: %d bytes of %q", ErrFrame, size, head[0])
	}
	payload := make([]byte, size)
	if k == PIN {
		consent.Lock(payload)
	}
	if _, err := io.ReadFull(r, payload); err != nil {
		clear(payload)
		return 0, nil, fmt.Errorf("%w: cut off: %w", ErrFrame, err)
	}
	return k, payload, nil
}

// Decode reads a JSON frame's message.
func Decode(payload []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(payload, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return m, nil
}

// Type of a message.
type Type string

// From the agent to the window.
const (
	Show     Type = "show"     // View; the documents' frames follow
	Deadline Type = "deadline" // At
	Finished Type = "finished" // Text; Good
	Reply    Type = "reply"    // ID; Name, the language; Data, or Text, which says why there is none
	Changed  Type = "changed"  // what the hand shows is not so any more
	Page     Type = "page"     // Name: the hand goes to another page
)

// From the window to the agent.
const (
	Painted Type = "painted" // the page is on the screen
	Next    Type = "next"    // of a review
	Answer  Type = "answer"  // Certificate, Remember; a PIN frame follows where PIN is set
	Refuse  Type = "refuse"  // Block
	Extend  Type = "extend"
	Secrets Type = "secrets" // two PIN frames follow: PIN or PUK, and the new PIN
	Call    Type = "call"    // ID, Name, Args: of a hand
)

// Mode is what a window is for.
type Mode string

// Modes: the first shows documents and can say next or refuse, the second takes the
// PIN and shows no document, the third tells how it went. The fourth takes PIN or PUK
// and a new PIN; the fifth has pages about card and agent, and takes no PIN.
const (
	Review Mode = "review"
	Ask    Mode = "ask"
	Status Mode = "status"
	NewPIN Mode = "new-pin"
	Hand   Mode = "hand"
)

// Message is any JSON frame.
type Message struct {
	Type        Type      `json:"type"`
	View        *View     `json:"view,omitempty"`
	At          time.Time `json:"at,omitzero"`
	Text        string    `json:"text,omitempty"`
	Good        bool      `json:"good,omitempty"`
	Certificate string    `json:"certificate,omitempty"`
	Remember    bool      `json:"remember,omitempty"`
	Block       bool      `json:"block,omitempty"`
	PIN         bool      `json:"pin,omitempty"`
	// Of a hand's calls and replies.
	ID   int               `json:"id,omitempty"`
	Name string            `json:"name,omitempty"`
	Args map[string]string `json:"args,omitempty"`
	Data json.RawMessage   `json:"data,omitempty"`
}

// View is all that a window shows.
type View struct {
	Mode         Mode                  `json:"mode"`
	Lang         string                `json:"lang"`
	Purpose      consent.Purpose       `json:"purpose"`
	Caller       consent.Caller        `json:"caller"`
	Documents    []DocumentInfo        `json:"documents,omitempty"`
	Hash         *consent.Hash         `json:"hash,omitempty"`
	Certificates []consent.Certificate `json:"certificates,omitempty"`
	Deadline     time.Time             `json:"deadline,omitzero"`
	Extendable   bool                  `json:"extendable,omitempty"`
	// NewPIN is what a window of this mode asks for.
	NewPIN *consent.PINRequest `json:"newPIN,omitempty"`
	// Page is the hand's first.
	Page string `json:"page,omitempty"`
}

// DocumentInfo is a document without its bytes. Shown: they follow in a frame.
type DocumentInfo struct {
	Name      string `json:"name"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"` // lower-case hex
	Shown     bool   `json:"shown"`
}
