package verify

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// maxNested bounds envelopes in envelopes (.p7m.p7m.p7m).
const maxNested = 5

// readEnvelope reads a CMS file and the envelopes in it, as one stream: the outermost
// signers come first.
func readEnvelope(ctx context.Context, r io.Reader, o cades.ReadOptions, depth int) ([]*validation.Facts, error) {
	inner := &innerEnvelope{ctx: ctx, depth: depth + 1}
	outer := o
	outer.Extract = inner
	if o.Extract != nil {
		outer.Extract = io.MultiWriter(o.Extract, inner)
	}
	if depth+1 >= maxNested {
		outer.Extract = o.Extract
	}
	facts, err := cades.Read(ctx, r, outer)
	within := inner.finish()
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		f.Nested = depth
	}
	return append(facts, within...), nil
}

// innerEnvelope looks at the first bytes of a content, and reads it as an envelope if
// it begins like one.
type innerEnvelope struct {
	ctx     context.Context //nolint:containedctx // a writer has no other way to get it
	depth   int
	head    []byte
	decided bool
	pipe    *io.PipeWriter
	done    chan struct{}
	facts   []*validation.Facts
}

// envelopeHead is how many bytes tell that a content is an envelope.
const envelopeHead = 40

// Write never fails: what is in an envelope must not spoil the reading of the envelope.
func (w *innerEnvelope) Write(p []byte) (int, error) {
	switch {
	case w.pipe != nil:
		_, _ = w.pipe.Write(p)
	case !w.decided:
		w.head = append(w.head, p...)
		if len(w.head) < envelopeHead {
			break
		}
		w.decided = true
		if beginsLikeEnvelope(w.head[:envelopeHead]) {
			w.start()
			_, _ = w.pipe.Write(w.head)
		}
		w.head = nil
	}
	return len(p), nil
}

func beginsLikeEnvelope(head []byte) bool {
	return len(head) > 2 && head[0] == 0x30 && bytes.Contains(head, []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"))
}

func (w *innerEnvelope) start() {
	r, pipe := io.Pipe()
	w.pipe, w.done = pipe, make(chan struct{})
	go func() {
		defer close(w.done)
		facts, err := readEnvelope(w.ctx, r, cades.ReadOptions{}, w.depth)
		switch {
		case err == nil:
			w.facts = facts
		case !errors.Is(err, cms.ErrNotCMS):
			// It begins like an envelope and cannot be read: that is told, and counts.
			w.facts = []*validation.Facts{{Format: "CMS", Level: "-", Nested: w.depth, Unread: true}}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
}

// finish gives what was found inside.
func (w *innerEnvelope) finish() []*validation.Facts {
	if w.pipe == nil {
		return nil
	}
	_ = w.pipe.Close() // always nil
	<-w.done
	return w.facts
}
