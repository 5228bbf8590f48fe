package attachment_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/attachment"
)

// large claims many pixels in few bytes: a PNG of 16 bits a sample whose data are not whole.
func large(side uint32) []byte {
	head := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	head = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(head, side), side)
	head = append(head, 16, 6, 0, 0, 0)
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head[12:]))
	data := append([]byte("IDAT\x78\x01\x00\xff\xff\x00\x00"), make([]byte, 65535)...) // RFC 1951, 3.2.4: stored
	head = append(binary.BigEndian.AppendUint32(head, uint32(len(data)-4)), data...)
	return binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(data))
}

// held stops whoever reads beyond the header, and counts them.
type held struct {
	data   []byte
	inside *atomic.Int32
	most   *atomic.Int32
	goOn   <-chan struct{}
	once   sync.Once
}

func (h *held) ReadAt(p []byte, off int64) (int, error) {
	if off > 16<<10 {
		h.once.Do(func() {
			n := h.inside.Add(1)
			for m := h.most.Load(); n > m && !h.most.CompareAndSwap(m, n); m = h.most.Load() {
			}
			<-h.goOn
			h.inside.Add(-1)
		})
	}
	if off >= int64(len(h.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Pictures of hundreds of megabytes, a few hundred bytes each as files, are decoded one
// after the other: together they would take the server's memory.
func TestPicturesAreDecodedWithinABound(t *testing.T) {
	const n = 8
	var inside, most atomic.Int32
	goOn := make(chan struct{})
	results := make(chan error, n)
	data := large(6000) // 288 MB decoded
	for range n {
		go func() {
			_, err := attachment.Check(context.Background(), &held{data: data, inside: &inside, most: &most, goOn: goOn}, int64(len(data)), attachment.Limits{})
			results <- err
		}()
	}
	for inside.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the others come as far as they get
	waiting, stop := context.WithCancel(context.Background())
	stop()
	if _, err := attachment.Check(waiting, &held{data: data, inside: &inside, most: &most, goOn: goOn}, int64(len(data)), attachment.Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone waits for the others: %v", err)
	}
	close(goOn)
	for range n {
		var refused *attachment.Refused
		if err := <-results; !errors.As(err, &refused) || refused.Code != "picture-damaged" {
			t.Error(err)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}
