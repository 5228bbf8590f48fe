package pades

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
)

// SignOptions says with what is signed.
type SignOptions struct {
	cades.SignOptions
	// Stamp adds a signature-time-stamp (B-T); nil makes B-B.
	Stamp cades.StampFunc
	// Value, unless nil, is given the finished CMS: evidence for B-LT is collected from it.
	Value func(cms []byte)
}

// Sign makes a PAdES-B-B or B-T signature over a document and writes it with its
// signature to out. The document's own bytes come first, unchanged, and are read once
// for the structure and once as a stream; memory does not grow with it.
func Sign(ctx context.Context, o SignOptions, p PrepareOptions, r io.ReaderAt, size int64, out io.Writer) error {
	if p.Time.IsZero() {
		p.Time = o.SigningTime
	}
	if p.Room == 0 {
		p.Room = Room(o)
	}
	prepared, err := Prepare(r, size, p)
	if err != nil {
		return err
	}
	return Complete(ctx, o, prepared, io.NewSectionReader(r, 0, size), size, out)
}

// Room estimates the room that a signature's value needs.
func Room(o SignOptions) int {
	room := 4096
	if o.Certificate != nil {
		room += len(o.Certificate.Raw)
	}
	for _, c := range o.Chain {
		room += len(c.Raw)
	}
	if o.Stamp != nil {
		room += 12 << 10
	}
	return room
}

// Complete signs what was prepared. document is read once, to its end, which must come
// after size bytes.
func Complete(ctx context.Context, o SignOptions, p *Prepared, document io.Reader, size int64, out io.Writer) error {
	if err := p.check(size); err != nil {
		return err
	}
	// EN 319 142-1, 6.3: the claimed time is in M, and not in the CMS.
	o.SigningTime, o.Detached = time.Time{}, true
	counted := &counter{w: out}
	content := io.MultiReader(io.TeeReader(document, counted), bytes.NewReader(p.Increment[:p.From]), bytes.NewReader(p.Increment[p.To:]))
	var value bytes.Buffer
	if err := cades.Sign(ctx, o.SignOptions, content, -1, &value); err != nil {
		return err
	}
	if counted.n != size {
		return fmt.Errorf("%w: %d bytes, not %d", cades.ErrContentChanged, counted.n, size)
	}
	if o.Stamp != nil {
		var stamped bytes.Buffer
		if err := cades.Augment(ctx, cades.AugmentOptions{Stamp: o.Stamp}, bytes.NewReader(value.Bytes()), &stamped); err != nil {
			return err
		}
		value = stamped
	}
	if o.Value != nil {
		o.Value(bytes.Clone(value.Bytes()))
	}
	room := (p.To - p.From - 2) / 2
	if value.Len() > room {
		return fmt.Errorf("%w: %d bytes in %d", ErrRoom, value.Len(), room)
	}
	increment := bytes.Clone(p.Increment)
	hex.Encode(increment[p.From+1:], value.Bytes())
	if _, err := out.Write(increment); err != nil {
		return fmt.Errorf("pades: %w", err)
	}
	return nil
}

// check looks at what may have come from another process: the room is zeros between
// angle brackets, and ByteRange says where it is.
func (p *Prepared) check(size int64) error {
	if p.From < 0 || p.From+2 > p.To || p.To > len(p.Increment) || len(p.Increment) > MaxIncrement {
		return ErrPrepared
	}
	hole := p.Increment[p.From:p.To]
	if hole[0] != '<' || hole[len(hole)-1] != '>' || len(bytes.Trim(hole[1:len(hole)-1], "0")) > 0 || len(hole)%2 != 0 {
		return ErrPrepared
	}
	want := fmt.Appendf(nil, "/ByteRange [0 %d %d %d]", size+int64(p.From), size+int64(p.To), int64(len(p.Increment)-p.To))
	if bytes.Count(p.Increment, want) != 1 {
		return ErrPrepared
	}
	return nil
}

// MaxIncrement bounds what Prepare gives and Complete takes.
const MaxIncrement = 32 << 20

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
