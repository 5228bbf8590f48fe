package card

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
)

// PC/SC Workgroup, Interoperability Specification, part 10 (IFDs with secure PIN
// entry capabilities), 2.02.09: 2.2, GET_FEATURE_REQUEST, and 2.5, structures.
const (
	featureRequest    = 3400
	featureVerify     = 0x06 // FEATURE_VERIFY_PIN_DIRECT
	pinTimeout        = 60   // seconds for the person, beyond the first key too
	pinFormatASCII    = 0x82 // the PIN begins at byte 0 of the data, left-justified, ASCII
	pinBlockEight     = 0x08 // its block has 8 bytes, no length is written
	validateOnKey     = 0x02 // the person presses OK
	oneMessage        = 0x01 // the reader shows its first message, "enter PIN"
	languageItalian   = 0x0410
	answerTimedOut    = iso7816.Status(0x6400)
	answerCancelled   = iso7816.Status(0x6401)
	answerBadLength   = iso7816.Status(0x6403)
	featureSize       = 6
	verifyStructureAt = 19
)

// parseFeatures reads the answer to GET_FEATURE_REQUEST: tag, length 4, and the
// control code in big-endian order, for each feature.
func parseFeatures(b []byte) map[byte]uint32 {
	features := map[byte]uint32{}
	for ; len(b) >= featureSize; b = b[featureSize:] {
		if b[1] != 4 {
			return nil
		}
		features[b[0]] = binary.BigEndian.Uint32(b[2:featureSize])
	}
	return features
}

// pinpad gives the control code with which the reader asks for a PIN by itself; 0
// without a keypad.
func (s *Session) pinpad(ctx context.Context) uint32 {
	b, err := s.Control(ctx, ControlCode(featureRequest), nil)
	if err != nil {
		return 0 // most readers have no features, and say so with an error
	}
	return parseFeatures(b)[featureVerify]
}

// verifyStructure is PIN_VERIFY_STRUCTURE for a command whose data is the PIN alone.
func verifyStructure(command []byte, least, most int) []byte {
	out := make([]byte, verifyStructureAt, verifyStructureAt+len(command))
	out[0], out[1] = pinTimeout, pinTimeout
	out[2], out[3] = pinFormatASCII, pinBlockEight
	// wPINMaxExtraDigit: the least in the high byte, the most in the low one.
	out[5], out[6] = byte(most), byte(least)
	out[7], out[8] = validateOnKey, oneMessage
	binary.LittleEndian.PutUint16(out[9:], languageItalian)
	binary.LittleEndian.PutUint32(out[15:], uint32(len(command))) //nolint:gosec // 13 bytes
	return append(out, command...)
}

// verifyOnPinpad lets the reader ask for the PIN and send it to the card: it never
// enters the computer.
func (s *Session) verifyOnPinpad(ctx context.Context, command []byte, least, most int) (iso7816.Status, error) {
	code := s.pinpad(ctx)
	if code == 0 {
		return 0, fmt.Errorf("%w: the reader has no keypad", signing.ErrCardFailed)
	}
	b, err := s.Control(ctx, code, verifyStructure(command, least, most))
	if err != nil {
		return 0, err
	}
	r, err := iso7816.ParseResponse(b)
	if err != nil {
		return 0, err
	}
	switch r.SW {
	case answerTimedOut:
		return 0, fmt.Errorf("card: on the reader: %w", consent.ErrTimedOut)
	case answerCancelled:
		return 0, fmt.Errorf("card: on the reader: %w", consent.ErrRefused)
	case answerBadLength:
		return 0, fmt.Errorf("%w: a PIN of the wrong length on the reader", &signing.ErrPINWrong{TriesLeft: -1})
	}
	return r.SW, nil
}
