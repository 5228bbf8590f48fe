package attachment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
)

// looksLikeCMS: DER or BER of a ContentInfo, or its text (base64, PEM), as a .p7m may be.
func looksLikeCMS(head []byte) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) > 2 && head[0] == 0x30 && bytes.Contains(head[:min(len(head), 32)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")):
		return true
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return true
	}
	// The base64 of a SEQUENCE with a long or an indefinite length.
	return bytes.HasPrefix(text, []byte("MI"))
}

// checkEnvelope takes the content out and judges it like any other file: a wrapper does
// not make a script harmless. Whether the signature holds is not asked here.
func checkEnvelope(ctx context.Context, r io.Reader, l Limits, envelopes int) error {
	aside, err := os.CreateTemp(l.Dir, "citel-attachment-*")
	if err != nil {
		return fmt.Errorf("attachment: %w", err)
	}
	defer func() { _, _ = aside.Close(), os.Remove(aside.Name()) }()
	facts, err := cades.Read(ctx, r, cades.ReadOptions{Extract: aside})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, cms.ErrNotCMS), errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge):
		return refuse("p7m-damaged", "%v", err)
	case err != nil:
		return fmt.Errorf("attachment: %w", err)
	case len(facts) == 0:
		return refuse("p7m-unsigned", "nobody signed it")
	case facts[0].Content.Detached:
		return refuse("p7m-detached", "the document is not in it")
	}
	size, err := aside.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("attachment: %w", err)
	}
	_, err = check(ctx, aside, size, l, envelopes+1)
	return err
}
