package iso7816

import (
	"errors"
	"fmt"
)

// Status is SW1-SW2 (ISO/IEC 7816-4, 5.6, tables 5 and 6).
type Status uint16

// Status words that drivers decide on.
const (
	OK                  Status = 0x9000
	EndOfFile           Status = 0x6282
	Deactivated         Status = 0x6283
	AuthFailed          Status = 0x6300
	MemoryFailure       Status = 0x6581
	WrongLength         Status = 0x6700
	ChannelNotSupported Status = 0x6881
	SMNotSupported      Status = 0x6882
	LastOfChain         Status = 0x6883
	ChainNotSupported   Status = 0x6884
	FileStructure       Status = 0x6981
	SecurityStatus      Status = 0x6982
	Blocked             Status = 0x6983
	RefDataUnusable     Status = 0x6984
	Conditions          Status = 0x6985
	NoCurrentFile       Status = 0x6986
	SMMissing           Status = 0x6987
	SMIncorrect         Status = 0x6988
	WrongData           Status = 0x6A80
	FuncNotSupported    Status = 0x6A81
	FileNotFound        Status = 0x6A82
	RecordNotFound      Status = 0x6A83
	NoSpace             Status = 0x6A84
	WrongParameters     Status = 0x6A86
	RefDataNotFound     Status = 0x6A88
	OutOfRange          Status = 0x6B00
	InsNotSupported     Status = 0x6D00
	ClaNotSupported     Status = 0x6E00
	NoDiagnosis         Status = 0x6F00
)

var statusText = map[Status]string{
	EndOfFile: "end of file before Le bytes", Deactivated: "file deactivated", AuthFailed: "verification failed", MemoryFailure: "memory failure",
	WrongLength: "wrong length", ChannelNotSupported: "logical channel not supported", SMNotSupported: "secure messaging not supported",
	LastOfChain: "last command of the chain expected", ChainNotSupported: "command chaining not supported",
	FileStructure: "command does not fit the file", SecurityStatus: "security status not satisfied", Blocked: "authentication method blocked",
	RefDataUnusable: "reference data not usable", Conditions: "conditions of use not satisfied", NoCurrentFile: "no current file",
	SMMissing: "secure messaging objects missing", SMIncorrect: "secure messaging objects incorrect",
	WrongData: "incorrect data", FuncNotSupported: "function not supported", FileNotFound: "file or application not found",
	RecordNotFound: "record not found", NoSpace: "not enough memory", WrongParameters: "incorrect P1 P2", RefDataNotFound: "reference data not found",
	OutOfRange: "offset outside the file", InsNotSupported: "instruction not supported", ClaNotSupported: "class not supported",
	NoDiagnosis: "no precise diagnosis",
}

// TriesLeft reads 63Cx: a verification failed and x tries are left.
func (s Status) TriesLeft() (n int, ok bool) { return int(s & 0xF), s&0xFFF0 == 0x63C0 }

// More reads 61xx: n more bytes are there for GET RESPONSE (256 stands for that or more).
func (s Status) More() (n int, ok bool) { return length(s), s>>8 == 0x61 }

// CorrectLe reads 6Cxx: the command again, with this Le.
func (s Status) CorrectLe() (n int, ok bool) { return length(s), s>>8 == 0x6C }

func length(s Status) int {
	if s&0xFF == 0 {
		return 256
	}
	return int(s & 0xFF)
}

// String is the number and what the standard says of it.
func (s Status) String() string {
	if n, ok := s.TriesLeft(); ok {
		return fmt.Sprintf("%04X (verification failed, %d tries left)", uint16(s), n)
	}
	if t := statusText[s]; t != "" {
		return fmt.Sprintf("%04X (%s)", uint16(s), t)
	}
	return fmt.Sprintf("%04X", uint16(s))
}

// Err is nil for 9000, else a *StatusError.
func (s Status) Err(command string) error {
	if s == OK {
		return nil
	}
	return &StatusError{SW: s, Command: command}
}

// StatusError is a status word that a caller did not want.
type StatusError struct {
	SW      Status
	Command string // the command's name
}

// Error names the command; nothing of its data.
func (e *StatusError) Error() string { return "card: " + e.Command + ": " + e.SW.String() }

// Is compares status words, so that errors.Is(err, &StatusError{SW: ...}) asks for one.
func (e *StatusError) Is(target error) bool {
	t, ok := target.(*StatusError)
	return ok && t.SW == e.SW
}

// ErrBlocked means that the PIN, or the PUK, takes no more tries.
var ErrBlocked = errors.New("card: blocked")

// WrongError is a PIN or PUK that was not right. It has used a try.
type WrongError struct {
	// TriesLeft is -1 where the card does not say.
	TriesLeft int
}

// Error names the tries left.
func (e *WrongError) Error() string {
	if e.TriesLeft < 0 {
		return "card: wrong PIN or PUK"
	}
	return fmt.Sprintf("card: wrong PIN or PUK, %d tries left", e.TriesLeft)
}

// Verification reads the answer to a PIN or a PUK: nil, a *WrongError, ErrBlocked,
// or the status word (ISO/IEC 7816-4, 11.6.6).
func (s Status) Verification(command string) error {
	if n, ok := s.TriesLeft(); ok {
		return &WrongError{TriesLeft: n}
	}
	switch s {
	case OK:
		return nil
	case Blocked:
		return fmt.Errorf("%w: %w", ErrBlocked, s.Err(command))
	case AuthFailed:
		return &WrongError{TriesLeft: -1}
	}
	return s.Err(command)
}
