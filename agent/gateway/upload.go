package gateway

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/wire"
)

// upload is one document on its way in. Only the socket's reader touches it.
type upload struct {
	req  *request
	doc  consent.Document
	file *spool
	left int64
}

var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// document begins the next document of a signature.
func (k *socket) document(m *wire.Document) error {
	req := k.request(m.ID)
	switch {
	case req == nil && m.ID > k.lastID:
		return k.answerError(wireError(m.ID, wire.CodeMalformed))
	case req == nil || req.ctx.Err() != nil: // it has ended; its bytes may follow
		k.stray = true
	case !req.receiving.Load() || m.Index != len(req.docs) || m.Index >= req.expected:
		k.stray = true
		req.cancel(codeError(wire.CodeMalformed))
	case m.Size > k.s.limits.MaxTotal-req.total:
		k.stray = true
		req.cancel(codeError(wire.CodeTooLarge))
	default:
		file, err := req.files.add(k.s.cfg.SpoolDir)
		if err != nil {
			k.stray = true
			req.cancel(err)
			return nil
		}
		req.total += m.Size
		k.upload = &upload{req: req, file: file, left: m.Size,
			doc: consent.Document{Name: m.Name, MediaType: m.MediaType, Size: m.Size, Open: file.open}}
		req.moved()
	}
	return nil
}

// binary takes one frame of document bytes.
func (k *socket) binary(r io.Reader) error {
	if k.upload != nil && k.upload.req.ctx.Err() != nil {
		k.upload, k.stray = nil, true // cancelled: what is in flight still arrives
	}
	if k.upload == nil {
		return k.strayBytes(r)
	}
	u := k.upload
	chunk := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(chunk)
	for {
		n, err := r.Read(chunk[:])
		if int64(n) > u.left { // more than was announced
			k.upload, k.stray = nil, true
			u.req.cancel(codeError(wire.CodeMalformed))
			return drain(r)
		}
		if _, failed := u.file.Write(chunk[:n]); failed != nil { // the disk is full
			k.upload, k.stray = nil, true
			u.req.cancel(failed)
			return drain(r)
		}
		u.left -= int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
	u.req.moved()
	if u.left == 0 {
		k.upload = nil
		u.doc.SHA256 = u.file.sum()
		u.req.docs = append(u.req.docs, u.doc)
		if len(u.req.docs) == u.req.expected {
			u.req.receiving.Store(false)
			close(u.req.complete)
		}
	}
	return nil
}

// strayBytes drops a frame that belongs to nothing. Of a request that has just
// ended it is let through, up to what a request may hold; anything else is the
// page's mistake.
func (k *socket) strayBytes(r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if !k.stray {
		if err := k.count(0); err != nil || k.tooMany > 0 {
			return err
		}
		return k.answerError(wireError(0, wire.CodeMalformed))
	}
	if k.strayed += n; k.strayed > k.s.limits.MaxTotal {
		k.close(websocket.ClosePolicyViolation, string(wire.CodeTooLarge))
		return errors.New("too many bytes for nothing")
	}
	return nil
}

func drain(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return nil
}

// abortUpload ends the request whose bytes are due when something else comes.
func (k *socket) abortUpload(code wire.Code) {
	if k.upload == nil {
		return
	}
	k.upload.req.cancel(codeError(code))
	k.upload, k.stray = nil, true
}

// moved tells the request that its page is alive.
func (q *request) moved() {
	select {
	case q.progress <- struct{}{}:
	default:
	}
}
