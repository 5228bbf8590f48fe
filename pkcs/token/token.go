// Package token uses PKCS#11 modules (OASIS PKCS#11 v2.40): slots, tokens,
// certificates, PINs, and keys as crypto.Signer. It is the only home of PKCS#11.
//
// It works in the calling process. A vendor's module belongs in a helper process
// (agent/worker): it may print, hang or crash, and nothing here can prevent it.
package token

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/miekg/pkcs11"
)

// Module is an open PKCS#11 module. It is safe for concurrent use.
type Module struct {
	lib *library

	mu       sync.Mutex
	closed   bool
	sessions map[*Session]struct{}
}

// library is a module in this process, whoever opened it. PKCS#11 knows one
// C_Initialize for a process, so all who open one path share it.
type library struct {
	path string
	ctx  *pkcs11.Ctx
	// alone is held around each call of a module that cannot lock by itself.
	alone sync.Mutex
	// single: the module said CKR_CANT_LOCK.
	single bool

	refs     int
	finalise bool
}

var (
	librariesMu sync.Mutex
	libraries   = map[string]*library{}
)

// Open loads and initialises the module at path, which has to be absolute: a bare
// name would be searched for in places that others may write to. Opening a path
// that is open already in this process shares it.
func Open(path string) (*Module, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: the path %q is not absolute", ErrModule, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	librariesMu.Lock()
	defer librariesMu.Unlock()
	lib := libraries[real]
	if lib == nil {
		ctx := pkcs11.New(real)
		if ctx == nil {
			return nil, fmt.Errorf("%w: %s does not load as a PKCS#11 module", ErrModule, path)
		}
		lib = &library{path: real, ctx: ctx}
		libraries[real] = lib
	}
	if lib.refs == 0 {
		if err := lib.initialise(); err != nil {
			return nil, err
		}
	}
	lib.refs++
	return &Module{lib: lib, sessions: map[*Session]struct{}{}}, nil
}

func (l *library) initialise() error {
	err := l.guard(func() error { return l.ctx.Initialize() }) // with CKF_OS_LOCKING_OK
	if isCode(err, pkcs11.CKR_CANT_LOCK) {
		l.single = true
		err = l.guard(func() error { return l.ctx.Initialize(pkcs11.InitializeWithFlags(0)) })
	}
	// Another part of this process has it open: it is theirs to finalise.
	l.finalise = !isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)
	if !l.finalise {
		err = nil
	}
	return explain("C_Initialize", err)
}

// call runs one function of the module and explains its error.
func (l *library) call(name string, f func() error) error {
	if l.single {
		l.alone.Lock()
		defer l.alone.Unlock()
	}
	return explain(name, l.guard(f))
}

// guard turns a panic into an error: the binding trusts the numbers that a module
// answers with, and makes slices of that length.
func (l *library) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the answer makes no sense: %v", r)
		}
	}()
	return f()
}

// Path is where the module was loaded from, symbolic links resolved.
func (m *Module) Path() string { return m.lib.path }

// Close closes the sessions that were opened through m and, with the last Module
// of this path, finalises the module. It stays loaded: threads and exit handlers
// of a module may still point into it, and unloading under them is a crash.
func (m *Module) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	var sessions []*Session
	for s := range m.sessions {
		sessions = append(sessions, s)
	}
	m.mu.Unlock()
	for _, s := range sessions {
		_ = s.Close() // the token may be gone; finalising clears what is left
	}
	librariesMu.Lock()
	defer librariesMu.Unlock()
	m.lib.refs--
	if m.lib.refs > 0 || !m.lib.finalise {
		return nil
	}
	return m.lib.call("C_Finalize", m.lib.ctx.Finalize)
}

func (m *Module) open() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return nil
}
