package cms

import (
	"crypto"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
)

// bounded keeps the first octets that are written to it.
type bounded struct {
	data []byte
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.over || len(b.data)+len(p) > headBytes+256 {
		b.data, b.over = nil, true
	} else {
		b.data = append(b.data, p...)
	}
	return len(p), nil
}

// watch sees EncapsulatedContentInfo as it is stored: whole where it is small, and
// through hashes.
func (m *Message) watch(hashes []crypto.Hash) io.Writer {
	m.encap = &bounded{}
	if len(hashes) == 0 {
		return m.encap
	}
	m.archive = map[crypto.Hash]hash.Hash{}
	writers := []io.Writer{m.encap}
	for _, h := range hashes {
		if m.archive[h] == nil {
			m.archive[h] = h.New()
			writers = append(writers, m.archive[h])
		}
	}
	return io.MultiWriter(writers...)
}

// With is the message over another content: that of a detached signature that belongs to
// one of several.
func (m *Message) With(content io.Reader) (*Message, error) {
	other := *m
	other.Sums, other.Head, other.archive = map[crypto.Hash][]byte{}, nil, nil
	d := other.newDigester(slices.Collect(maps.Keys(m.Sums)))
	var err error
	if other.ContentBytes, err = io.CopyBuffer(onlyWriter{d}, content, make([]byte, bufferSize)); err != nil {
		return nil, fmt.Errorf("cms: content: %w", err)
	}
	d.finish(&other)
	return &other, nil
}

// Archive gives a hash that has seen what an archive time-stamp of before version 3
// begins with: EncapsulatedContentInfo as it is stored, and the content where it is not
// in there (ETSI TS 101 733 v2.2.1, 6.4.1). It is nil when the content is not there, and
// for one that is not small unless ParseOptions.Archive had the hash.
func (m *Message) Archive(h crypto.Hash) hash.Hash {
	if !m.ContentGiven || !h.Available() {
		return nil
	}
	if state, ok := m.archive[h].(hash.Cloner); ok {
		if c, err := state.Clone(); err == nil {
			return c
		}
	}
	small := m.Head != nil || m.ContentBytes == 0
	if m.encap == nil || m.encap.over || !small {
		return nil
	}
	d := h.New()
	d.Write(m.encap.data)
	if m.Detached {
		d.Write(m.Head)
	}
	return d
}
