package token

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// Session is a read-only session with one token. It is safe for concurrent use;
// what is signed at the same time is signed one after the other.
type Session struct {
	module *Module
	slot   uint

	// mu is held over SignInit, Login and Sign, which belong together, and over
	// FindObjectsInit to FindObjectsFinal: a session has one operation at a time.
	mu     sync.Mutex
	handle pkcs11.SessionHandle
	closed bool
	login  bool
	pinpad bool
	// pin is there only while a key asks for it at each signature.
	pin []byte
	// spent: an operation was begun and cannot be ended.
	spent      bool
	mechanisms map[uint]error
}

// Session opens a session with the token in a slot.
func (m *Module) Session(slot uint) (*Session, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	info, err := m.tokenInfo(slot)
	if err != nil {
		return nil, err
	}
	s := &Session{module: m, slot: slot, pinpad: info.Pinpad, mechanisms: map[uint]error{}}
	err = m.lib.call("C_OpenSession", func() (err error) {
		s.handle, err = m.lib.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed { // meanwhile; finalising closed the session
		return nil, ErrClosed
	}
	m.sessions[s] = struct{}{}
	return s, nil
}

// Login enters the user's PIN; nil where the PIN is typed on the reader. It is
// called once: a PIN is never tried again here, and one that was not taken makes
// the session useless for another. The caller wipes pin.
//
// A token that was not satisfied answers with *PINError.
func (s *Session) Login(pin []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if pin == nil && !s.pinpad {
		return fmt.Errorf("%w: the reader has no pinpad and there is no PIN", ErrNotLoggedIn)
	}
	if pin != nil && len(pin) == 0 {
		return &PINError{Kind: PINLength} // the binding would make it NULL
	}
	if s.login {
		return fmt.Errorf("%w: C_Login: logged in already", ErrModule)
	}
	err := s.enter(pkcs11.CKU_USER, pin)
	if err != nil {
		return err
	}
	s.login = true
	always, err := s.anyAlways()
	if err != nil {
		return err
	}
	if always && pin != nil {
		s.pin = append(make([]byte, 0, len(pin)), pin...)
	}
	return nil
}

// enter is C_Login. The string shares pin's memory, so Go makes no copy; the
// binding makes one in C memory and frees it without wiping. Nothing can be done
// about it, nor about what the module keeps: that is why agent/worker replaces
// the process after each PIN.
func (s *Session) enter(user uint, pin []byte) error {
	err := s.module.lib.call("C_Login", func() error {
		return s.module.lib.ctx.Login(s.handle, user, unsafe.String(unsafe.SliceData(pin), len(pin)))
	})
	if err == nil {
		return nil
	}
	code, ok := errors.AsType[pkcs11.Error](err)
	kind, isPIN := pinKinds[code]
	if !ok || !isPIN {
		return s.removed(err)
	}
	e := &PINError{Kind: kind, Locked: kind == PINLocked}
	if info, err := s.module.tokenInfo(s.slot); err == nil {
		e.CountLow, e.FinalTry, e.Locked = info.CountLow, info.FinalTry, e.Locked || info.Locked
	}
	return e
}

// removed looks whether the token is gone when the module's error does not tell.
func (s *Session) removed(err error) error {
	if !errors.Is(err, ErrModule) {
		return err
	}
	var info pkcs11.SlotInfo
	gone := s.module.lib.call("C_GetSlotInfo", func() (err error) {
		info, err = s.module.lib.ctx.GetSlotInfo(s.slot)
		return err
	})
	if errors.Is(gone, ErrTokenRemoved) || gone == nil && info.Flags&pkcs11.CKF_TOKEN_PRESENT == 0 {
		return fmt.Errorf("%w: %w", ErrTokenRemoved, err)
	}
	// A handle that was good before and the token is "there": another one.
	if isCode(err, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID) {
		return fmt.Errorf("%w: %w", ErrTokenRemoved, err)
	}
	return err
}

func (s *Session) usable() error {
	switch {
	case s.closed:
		return ErrClosed
	case s.spent:
		return fmt.Errorf("%w: the session failed before", ErrModule)
	}
	return s.module.open()
}

// Close wipes what is left of the PIN, logs out and closes the session. Keys of
// the session are of no use afterwards.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.forget()
	lib := s.module.lib
	var err error
	if s.login {
		err = lib.call("C_Logout", func() error { return lib.ctx.Logout(s.handle) })
	}
	err = errors.Join(err, lib.call("C_CloseSession", func() error { return lib.ctx.CloseSession(s.handle) }))
	s.module.mu.Lock()
	delete(s.module.sessions, s)
	s.module.mu.Unlock()
	return err
}

func (s *Session) forget() {
	clear(s.pin[:cap(s.pin)])
	s.pin = nil
}

// find lists the objects that fit a template, at most limit of them.
func (s *Session) find(limit int, template ...*pkcs11.Attribute) (found []pkcs11.ObjectHandle, err error) {
	lib := s.module.lib
	if err := lib.call("C_FindObjectsInit", func() error { return lib.ctx.FindObjectsInit(s.handle, template) }); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, lib.call("C_FindObjectsFinal", func() error { return lib.ctx.FindObjectsFinal(s.handle) }))
	}()
	for len(found) < limit {
		var some []pkcs11.ObjectHandle
		err := lib.call("C_FindObjects", func() (err error) {
			some, _, err = lib.ctx.FindObjects(s.handle, limit-len(found))
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		found = append(found, some...)
	}
	return found, nil
}

// attribute reads one; nil when the object does not have it or does not tell.
// One at a time: with several, one that is missing spoils the answer of all.
func (s *Session) attribute(o pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	lib := s.module.lib
	var value []byte
	err := lib.call("C_GetAttributeValue", func() error {
		got, err := lib.ctx.GetAttributeValue(s.handle, o, []*pkcs11.Attribute{{Type: kind}})
		if err == nil && len(got) == 1 {
			value = got[0].Value
		}
		return err
	})
	if isCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
		return nil, nil
	}
	if err == nil && len(value) > maxAttribute {
		return nil, fmt.Errorf("%w: an attribute of %d bytes", ErrModule, len(value))
	}
	return value, err
}

// anyAlways tells whether a key asks for the PIN at each signature.
func (s *Session) anyAlways() (bool, error) {
	keys, err := s.find(maxObjects, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY))
	if err != nil {
		return false, err
	}
	for _, k := range keys {
		if always, err := s.attribute(k, pkcs11.CKA_ALWAYS_AUTHENTICATE); err != nil || isTrue(always) {
			return err == nil, err
		}
	}
	return false, nil
}

func isTrue(b []byte) bool { return len(b) == 1 && b[0] != 0 }
