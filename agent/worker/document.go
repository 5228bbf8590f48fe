package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/pdf"
)

// Preparer has a PDF made ready for a signature in a helper process of its own
// (DocumentMain), one for each document. What parses a stranger's file has no file, no
// environment and no PIN: it asks the agent for bytes over its standard input and output.
type Preparer struct {
	// Exe is the program and its arguments that run DocumentMain; the program is absolute.
	Exe []string
	// Timeout for one document; 0: one minute.
	Timeout time.Duration
	Log     *slog.Logger
}

// documentOrder comes first: what pades.PrepareOptions says, or the sizes of the evidence
// that follows, each in frames of at most maxFrame.
type documentOrder struct {
	// Certificates, CRLs and OCSPs: the document gets a security store (pades.Extend).
	Certificates []int `json:"certificates,omitempty"`
	CRLs         []int `json:"crls,omitempty"`
	OCSPs        []int `json:"ocsps,omitempty"`

	Size     int64     `json:"size"`
	Time     time.Time `json:"time"`
	Field    string    `json:"field,omitempty"`
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Location string    `json:"location,omitempty"`
	Room     int       `json:"room"`
}

// documentAnswer asks for a range of the document ("read"), which comes as one frame, or
// ends ("done"), with the increment after it in frames of at most maxFrame.
type documentAnswer struct {
	Op     string `json:"op"`
	Offset int64  `json:"offset,omitempty"`
	Length int    `json:"length,omitempty"`

	Failure signing.DocumentReason `json:"failure,omitempty"`
	// Detail is for the log.
	Detail string `json:"detail,omitempty"`
	Bytes  int    `json:"bytes,omitempty"`
	From   int    `json:"from,omitempty"`
	To     int    `json:"to,omitempty"`
}

const (
	opRead = "read"
	opDone = "done"

	documentTime = time.Minute
	blockSize    = 32 << 10
	maxBlocks    = 256 // 8 MiB are kept
)

// Prepare asks a helper for the increment. What comes back is checked again where it is
// signed (pades.Complete): it may come from a helper that the document took over.
func (p *Preparer) Prepare(ctx context.Context, content io.ReadSeeker, size int64, o pades.PrepareOptions) (*pades.Prepared, error) {
	return p.run(ctx, content, size, documentOrder{Size: size, Time: o.Time, Field: o.Field, Name: o.Name, Reason: o.Reason, Location: o.Location, Room: o.Room}, nil)
}

// Extend asks a helper for the increment that holds evidence.
func (p *Preparer) Extend(ctx context.Context, content io.ReadSeeker, size int64, e pades.Evidence) ([]byte, error) {
	o := documentOrder{Size: size}
	var all [][]byte
	for _, set := range []struct {
		ders  [][]byte
		sizes *[]int
	}{{e.Certificates, &o.Certificates}, {e.CRLs, &o.CRLs}, {e.OCSPs, &o.OCSPs}} {
		for _, der := range set.ders {
			*set.sizes, all = append(*set.sizes, len(der)), append(all, der)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("worker: no evidence")
	}
	made, err := p.run(ctx, content, size, o, all)
	if err != nil {
		return nil, err
	}
	return made.Increment, nil
}

func (p *Preparer) run(ctx context.Context, content io.ReadSeeker, size int64, o documentOrder, more [][]byte) (_ *pades.Prepared, err error) {
	if len(p.Exe) == 0 || !filepath.IsAbs(p.Exe[0]) {
		return nil, errors.New("worker: the helper's program has to be an absolute path")
	}
	limit := p.Timeout
	if limit <= 0 {
		limit = documentTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Exe[0], p.Exe[1:]...)
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.Dir = os.TempDir()
	cmd.WaitDelay = time.Second
	log := p.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cmd.Stderr = &noise{log: log}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	var cut atomic.Bool
	stop := context.AfterFunc(ctx, func() { cut.Store(true) })
	defer func() {
		stop()
		if err != nil {
			_ = cmd.Process.Kill() // by its id; an error means that it ended already
		}
		_ = in.Close()
		_ = cmd.Wait() // its answer counts, not its exit
		if err != nil && cut.Load() {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}()
	if err := writeJSON(in, o); err != nil {
		return nil, documentFailed(err)
	}
	for _, data := range more {
		if err := writeParts(in, data); err != nil {
			return nil, documentFailed(err)
		}
	}
	return serve(in, out, content, size)
}

// documentFailed: a document that makes a helper crash or talk nonsense is not signed.
func documentFailed(err error) error {
	return &signing.DocumentError{Reason: signing.DocumentDamaged, Detail: err.Error()}
}

// serve answers the helper's requests until it is done.
func serve(in io.Writer, out io.Reader, content io.ReadSeeker, size int64) (*pades.Prepared, error) {
	for {
		data, err := readFrame(out, maxFrame)
		if err != nil {
			return nil, documentFailed(err)
		}
		var a documentAnswer
		if err := strict(data, &a); err != nil {
			return nil, documentFailed(err)
		}
		switch a.Op {
		case opRead:
			if a.Length < 1 || a.Length > maxFrame || a.Offset < 0 || a.Offset > size-int64(a.Length) {
				return nil, documentFailed(fmt.Errorf("%w: a range outside the document", errFrame))
			}
			part := make([]byte, a.Length)
			if _, err := content.Seek(a.Offset, io.SeekStart); err != nil {
				return nil, fmt.Errorf("worker: the document: %w", err)
			}
			if _, err := io.ReadFull(content, part); err != nil {
				return nil, fmt.Errorf("worker: the document: %w", err)
			}
			if err := writeFrame(in, part); err != nil {
				return nil, documentFailed(err)
			}
		case opDone:
			return prepared(a, out)
		default:
			return nil, documentFailed(fmt.Errorf("%w: an unknown operation", errFrame))
		}
	}
}

func prepared(a documentAnswer, out io.Reader) (*pades.Prepared, error) {
	switch {
	case a.Failure != "" && !a.Failure.Known():
		return nil, documentFailed(fmt.Errorf("%w: an unknown failure", errFrame))
	case a.Failure != "":
		return nil, &signing.DocumentError{Reason: a.Failure, Detail: a.Detail[:min(len(a.Detail), maxText)]}
	case a.Bytes < 1 || a.Bytes > pades.MaxIncrement:
		return nil, documentFailed(fmt.Errorf("%w: an increment of %d bytes", errFrame, a.Bytes))
	}
	p := &pades.Prepared{From: a.From, To: a.To}
	var err error
	if p.Increment, err = readParts(out, a.Bytes); err != nil {
		return nil, documentFailed(err)
	}
	return p, nil
}

// writeParts and readParts move what may be larger than a frame.
func writeParts(w io.Writer, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxFrame)
		if err := writeFrame(w, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func readParts(r io.Reader, size int) (data []byte, err error) {
	for len(data) < size {
		part, err := readFrame(r, min(maxFrame, size-len(data)))
		if err != nil {
			return nil, err
		}
		data = append(data, part...)
	}
	return data, nil
}

// maxDocumentEvidence bounds what one order brings, in bytes.
const maxDocumentEvidence = pades.MaxIncrement

// evidence reads what follows an order; ok is false for an order without any.
func (o *documentOrder) evidence(in io.Reader) (e pades.Evidence, ok bool, err error) {
	left := maxDocumentEvidence
	for _, set := range []struct {
		sizes []int
		to    *[][]byte
	}{{o.Certificates, &e.Certificates}, {o.CRLs, &e.CRLs}, {o.OCSPs, &e.OCSPs}} {
		for _, n := range set.sizes {
			if n < 1 || n > left {
				return e, false, errFrame
			}
			left -= n
			der, err := readParts(in, n)
			if err != nil {
				return e, false, err
			}
			*set.to, ok = append(*set.to, der), true
		}
	}
	return e, ok, nil
}

// DocumentMain is the helper: it reads the order, asks for the document's bytes as it
// needs them, and returns the exit code. It is what the agent's hidden command runs.
func DocumentMain(in io.Reader, out io.Writer) int {
	harden()
	data, err := readFrame(in, maxFrame)
	if err != nil {
		return exitOrder
	}
	var o documentOrder
	if err := strict(data, &o); err != nil || o.Size < 1 {
		return exitOrder
	}
	evidence, extend, err := o.evidence(in)
	if err != nil {
		return exitOrder
	}
	remote := &remoteDocument{in: in, out: out, size: o.Size, blocks: map[int64][]byte{}}
	var p *pades.Prepared
	if extend {
		p = &pades.Prepared{}
		p.Increment, err = pades.Extend(remote, o.Size, evidence)
	} else {
		p, err = pades.Prepare(remote, o.Size, pades.PrepareOptions{
			Time: o.Time, Field: o.Field, Name: o.Name, Reason: o.Reason, Location: o.Location, Room: o.Room,
		})
	}
	switch {
	case remote.err != nil:
		return exitOrder // the agent is gone
	case err != nil:
		detail := strings.ToValidUTF8(err.Error(), "?")
		err = writeJSON(out, documentAnswer{Op: opDone, Failure: reason(err), Detail: detail[:min(len(detail), maxText)]})
	default:
		err = writeJSON(out, documentAnswer{Op: opDone, Bytes: len(p.Increment), From: p.From, To: p.To})
		if err == nil {
			err = writeParts(out, p.Increment)
		}
	}
	if err != nil {
		return exitOrder
	}
	return exitDone
}

func reason(err error) signing.DocumentReason {
	for _, x := range []struct {
		err    error
		reason signing.DocumentReason
	}{
		{pades.ErrNoChanges, signing.DocumentCertified}, {pdf.ErrEncrypted, signing.DocumentEncrypted},
		{pades.ErrField, signing.DocumentField}, {pdf.ErrNotPDF, signing.DocumentNotPDF}, {pdf.ErrTooLarge, signing.DocumentTooLarge},
	} {
		if errors.Is(err, x.err) {
			return x.reason
		}
	}
	return signing.DocumentDamaged
}

// remoteDocument reads ranges over the pipes, in blocks of which the last are kept.
type remoteDocument struct {
	in     io.Reader
	out    io.Writer
	size   int64
	blocks map[int64][]byte
	order  []int64
	err    error
}

// ReadAt is io.ReaderAt for one caller at a time.
func (d *remoteDocument) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		if at < 0 || at >= d.size {
			return n, io.EOF
		}
		b, err := d.block(at / blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], b[at%blockSize:])
		n, at = n+k, at+int64(k)
	}
	return n, nil
}

func (d *remoteDocument) block(i int64) ([]byte, error) {
	if b := d.blocks[i]; b != nil {
		return b, nil
	}
	if d.err != nil {
		return nil, d.err
	}
	length := int(min(blockSize, d.size-i*blockSize))
	var b []byte
	d.err = writeJSON(d.out, documentAnswer{Op: opRead, Offset: i * blockSize, Length: length})
	if d.err == nil {
		b, d.err = readFrame(d.in, length)
	}
	if d.err == nil && len(b) != length {
		d.err = errFrame
	}
	if d.err != nil {
		return nil, d.err
	}
	if len(d.order) >= maxBlocks {
		delete(d.blocks, d.order[0])
		d.order = d.order[1:]
	}
	d.blocks[i], d.order = b, append(d.order, i)
	return b, nil
}
