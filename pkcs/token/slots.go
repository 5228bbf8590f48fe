package token

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"
)

// maxSlots is more readers than anybody has.
const maxSlots = 64

// Slot is a reader, with the token in it.
type Slot struct {
	ID uint
	// Reader is the slot's description, for people.
	Reader string
	// Token is nil when there is none.
	Token *Info
}

// Info is what a token says of itself (PKCS#11 v2.40, 3.2, CK_TOKEN_INFO).
type Info struct {
	Label, Manufacturer, Model, Serial string
	// Initialized: there is something on it, as far as the module can tell.
	Initialized bool
	// CountLow: a wrong PIN was entered since the last right one. FinalTry: the
	// next wrong one locks. Locked: no PIN is taken any more.
	CountLow, FinalTry, Locked bool
	// Pinpad: the PIN is typed on the reader; Login takes nil.
	Pinpad bool
	// MinPIN and MaxPIN are lengths in bytes; 0 where the token does not say.
	MinPIN, MaxPIN int
	LoginRequired  bool
}

// Slots lists the readers and the tokens in them, as they are now. A module may
// see new readers only after it was closed and opened again.
func (m *Module) Slots(ctx context.Context) ([]Slot, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	var ids []uint
	err := m.lib.call("C_GetSlotList", func() (err error) {
		ids, err = m.lib.ctx.GetSlotList(false)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(ids) > maxSlots {
		return nil, fmt.Errorf("%w: %d slots", ErrModule, len(ids))
	}
	slots := make([]Slot, 0, len(ids))
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var info pkcs11.SlotInfo
		err := m.lib.call("C_GetSlotInfo", func() (err error) {
			info, err = m.lib.ctx.GetSlotInfo(id)
			return err
		})
		if errors.Is(err, ErrTokenRemoved) {
			continue // unplugged meanwhile
		}
		if err != nil {
			return nil, err
		}
		slot := Slot{ID: id, Reader: text(info.SlotDescription)}
		if info.Flags&pkcs11.CKF_TOKEN_PRESENT != 0 {
			// A card that the module does not know, or that was just taken out, is
			// no token; other readers are still of use.
			if t, err := m.tokenInfo(id); err == nil {
				slot.Token = &t
			}
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

func (m *Module) tokenInfo(slot uint) (Info, error) {
	var info pkcs11.TokenInfo
	err := m.lib.call("C_GetTokenInfo", func() (err error) {
		info, err = m.lib.ctx.GetTokenInfo(slot)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	is := func(flag uint) bool { return info.Flags&flag != 0 }
	return Info{
		Label: text(info.Label), Manufacturer: text(info.ManufacturerID), Model: text(info.Model), Serial: text(info.SerialNumber),
		// Some modules set only the second one.
		Initialized: is(pkcs11.CKF_TOKEN_INITIALIZED) || is(pkcs11.CKF_USER_PIN_INITIALIZED),
		CountLow:    is(pkcs11.CKF_USER_PIN_COUNT_LOW), FinalTry: is(pkcs11.CKF_USER_PIN_FINAL_TRY),
		// OpenSC's emulation of the CNS ("IC: ...; mask: ...") never learns the tries
		// left and says "locked" of every card (its issue 3755).
		Locked: is(pkcs11.CKF_USER_PIN_LOCKED) && !strings.HasPrefix(info.ManufacturerID, "IC: "),
		Pinpad: is(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH), LoginRequired: is(pkcs11.CKF_LOGIN_REQUIRED),
		MinPIN: length(info.MinPinLen), MaxPIN: length(info.MaxPinLen),
	}, nil
}

// length of a PIN; CK_UNAVAILABLE_INFORMATION and nonsense are 0.
func length(n uint) int {
	if n > 255 {
		return 0
	}
	return int(n)
}

// text makes a module's padded field presentable.
func text(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return strings.TrimSpace(strings.ToValidUTF8(s, "?"))
}
