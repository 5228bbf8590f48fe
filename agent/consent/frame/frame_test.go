package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/citel-pa/citel/agent/consent/frame"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	if err := frame.WriteJSON(&b, frame.Message{Type: frame.Answer, Certificate: "ab", PIN: true}); err != nil {
		t.Fatal(err)
	}
	if err := frame.Write(&b, frame.PIN, []byte("12345678")); err != nil {
		t.Fatal(err)
	}
	k, p, err := frame.Read(&b)
	if err != nil || k != frame.JSON {
		t.Fatal(k, err)
	}
	if m, err := frame.Decode(p); err != nil || m.Type != frame.Answer || !m.PIN {
		t.Errorf("%+v %v", m, err)
	}
	if k, p, err := frame.Read(&b); err != nil || k != frame.PIN || string(p) != "12345678" {
		t.Errorf("%c %s %v", k, p, err)
	}
	if err := frame.Write(&b, frame.PIN, make([]byte, 65)); !errors.Is(err, frame.ErrFrame) {
		t.Errorf("a long PIN: %v", err)
	}
	for _, bad := range [][]byte{{'J', 0xFF, 0xFF, 0xFF, 0xFF}, {'X', 0, 0, 0, 0}, {'P', 0, 0, 0, 65}, {'J', 0, 0, 0, 9, '{'}} {
		if _, _, err := frame.Read(bytes.NewReader(bad)); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{'J', 0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if k, p, err := frame.Read(bytes.NewReader(b)); err == nil && k == frame.JSON {
			_, _ = frame.Decode(p)
		}
	})
}
