package iso7816_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

func TestCommandForms(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 300)
	for name, c := range map[string]struct {
		c    iso7816.Command
		want string
	}{
		"1":           {iso7816.Command{INS: 0x20, P2: 0x10, Le: iso7816.NoLe}, "00200010"},
		"2 short":     {iso7816.Command{INS: 0xB0, Le: 16}, "00b0000010"},
		"2 short max": {iso7816.Command{INS: 0xB0, Le: 256}, "00b0000000"},
		"3 short":     {iso7816.Command{INS: 0xA4, P1: 8, P2: 0x0C, Data: []byte{0x10, 0, 0x10, 3}, Le: iso7816.NoLe}, "00a4080c0410001003"},
		"4 short":     {iso7816.Command{INS: 0xA4, P1: 8, Data: []byte{0x11, 0, 0x11, 1}, Le: 256}, "00a40800041100110100"},
		"2 extended":  {iso7816.Command{INS: 0xB0, Le: 65536}, "00b00000000000"},
		"3 extended":  {iso7816.Command{INS: 0x2A, Data: long, Le: iso7816.NoLe}, "002a000000012c" + hex.EncodeToString(long)},
		"4 extended":  {iso7816.Command{INS: 0x2A, Data: long, Le: 256}, "002a000000012c" + hex.EncodeToString(long) + "0100"},
	} {
		b, err := c.c.Bytes()
		if err != nil || hex.EncodeToString(b) != c.want {
			t.Errorf("%s: %x %v", name, b, err)
		}
		back, err := iso7816.ParseCommand(b)
		if err != nil || !reflect.DeepEqual(back, c.c) {
			t.Errorf("%s comes back as %+v, %v", name, back, err)
		}
	}
	for _, bad := range []iso7816.Command{{Le: 0}, {Le: 65537}, {Le: -2}, {Data: make([]byte, 65536), Le: iso7816.NoLe}} {
		if _, err := bad.Bytes(); !errors.Is(err, iso7816.ErrAPDU) {
			t.Errorf("%d bytes, Le %d: %v", len(bad.Data), bad.Le, err)
		}
	}
	for _, bad := range []string{"", "00a404", "00a4040005a000", "00a404000000", "00a4040000000201", "00a40400020102030405"} {
		b, _ := hex.DecodeString(bad)
		if c, err := iso7816.ParseCommand(b); err == nil {
			t.Errorf("%s is taken for %+v", bad, c)
		}
	}
}

func TestStatus(t *testing.T) {
	if n, ok := iso7816.Status(0x63C2).TriesLeft(); n != 2 || !ok {
		t.Error("63C2")
	}
	if _, ok := iso7816.Status(0x6300).TriesLeft(); ok {
		t.Error("6300 tells no tries")
	}
	if n, ok := iso7816.Status(0x6100).More(); n != 256 || !ok {
		t.Error("6100")
	}
	if n, ok := iso7816.Status(0x6C10).CorrectLe(); n != 16 || !ok {
		t.Error("6C10")
	}
	err := iso7816.FileNotFound.Err("SELECT")
	if !errors.Is(err, &iso7816.StatusError{SW: iso7816.FileNotFound}) || errors.Is(err, &iso7816.StatusError{SW: iso7816.Blocked}) {
		t.Errorf("%v", err)
	}
	if iso7816.OK.Err("x") != nil {
		t.Error("9000 is an error")
	}
}

// script answers commands in their order.
type script struct {
	t     *testing.T
	steps [][2]string
	n     int
}

func (s *script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if s.n >= len(s.steps) || hex.EncodeToString(apdu) != s.steps[s.n][0] {
		s.t.Fatalf("step %d: %x", s.n, apdu)
	}
	s.n++
	return hex.DecodeString(s.steps[s.n-1][1])
}

func TestExchange(t *testing.T) {
	for name, c := range map[string]struct {
		c     iso7816.Command
		o     iso7816.Options
		steps [][2]string
		data  string
		sw    iso7816.Status
	}{
		"plain":         {iso7816.Command{INS: 0xB0, Le: 2}, iso7816.Options{}, [][2]string{{"00b0000002", "01029000"}}, "0102", iso7816.OK},
		"get response":  {iso7816.Command{INS: 0xCB, Le: iso7816.NoLe}, iso7816.Options{}, [][2]string{{"00cb0000", "6102"}, {"00c0000002", "01026101"}, {"00c0000001", "039000"}}, "010203", iso7816.OK},
		"correct le":    {iso7816.Command{INS: 0xB0, Le: 256}, iso7816.Options{}, [][2]string{{"00b0000000", "6c01"}, {"00b0000001", "059000"}}, "05", iso7816.OK},
		"chain":         {iso7816.Command{INS: 0x2A, Data: []byte{1, 2, 3, 4, 5}, Le: 256}, iso7816.Options{MaxData: 2}, [][2]string{{"102a0000020102", "9000"}, {"102a0000020304", "9000"}, {"002a0000010500", "aa9000"}}, "aa", iso7816.OK},
		"broken chain":  {iso7816.Command{INS: 0x2A, Data: []byte{1, 2, 3}, Le: 256}, iso7816.Options{MaxData: 2}, [][2]string{{"102a0000020102", "6884"}}, "", iso7816.ChainNotSupported},
		"end of a file": {iso7816.Command{INS: 0xB0, Le: 4}, iso7816.Options{}, [][2]string{{"00b0000004", "016282"}}, "01", iso7816.EndOfFile},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{t: t, steps: c.steps}
			r, err := iso7816.Exchange(t.Context(), s, c.c, c.o)
			if err != nil || hex.EncodeToString(r.Data) != c.data || r.SW != c.sw || s.n != len(c.steps) {
				t.Errorf("%x %s %v after %d", r.Data, r.SW, err, s.n)
			}
		})
	}
}

type endless struct{}

func (endless) Transmit(context.Context, []byte) ([]byte, error) {
	return append(make([]byte, 256), 0x61, 0), nil
}

func TestAnswersEnd(t *testing.T) {
	if _, err := iso7816.Exchange(t.Context(), endless{}, iso7816.Command{INS: 0xCB, Le: 256}, iso7816.Options{}); !errors.Is(err, iso7816.ErrAnswer) {
		t.Errorf("%v", err)
	}
}

func TestTLV(t *testing.T) {
	inner := iso7816.AppendTLV(nil, 0x81, bytes.Repeat([]byte{1}, 300))
	b := iso7816.AppendTLV(nil, 0xBFA101, iso7816.AppendTLV(inner, 0x5F20, []byte{9}))
	if v, ok := iso7816.Find(b, 0xBFA101, 0x5F20); !ok || !bytes.Equal(v, []byte{9}) {
		t.Errorf("%x %v", v, ok)
	}
	if n, err := iso7816.ElementLength(append(bytes.Clone(b), 0, 0, 0)); err != nil || n != len(b) {
		t.Errorf("%d %v", n, err)
	}
	for _, bad := range []string{"80", "8001", "808001", "8084000000", "5f", "5f9f9f9f01", "1f"} {
		raw, _ := hex.DecodeString(bad)
		if l, err := iso7816.ParseTLV(raw); !errors.Is(err, iso7816.ErrTLV) {
			t.Errorf("%s: %v %v", bad, l, err)
		}
	}
}

func FuzzTLV(f *testing.F) {
	f.Add([]byte{0x6F, 4, 0x81, 2, 1, 0x90})
	f.Add([]byte{0x70, 0x81, 5, 0xBF, 0xA1, 1, 1, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := iso7816.ParseTLV(b)
		if err != nil {
			return
		}
		var again []byte
		for _, x := range list {
			again = iso7816.AppendTLV(again, x.Tag, x.Value)
		}
		back, err := iso7816.ParseTLV(again)
		if err != nil || len(back) != len(list) || len(again) > len(b) {
			t.Errorf("%x becomes %x (%v)", b, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0, 2, 1, 2, 0})
	f.Add([]byte{0, 0xB0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := iso7816.ParseCommand(b)
		if err != nil {
			return
		}
		again, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		back, err := iso7816.ParseCommand(again)
		if err != nil || back.Le != c.Le || !bytes.Equal(back.Data, c.Data) {
			t.Errorf("%x becomes %x", b, again)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte{1, 0x90, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := iso7816.ParseResponse(b); err == nil && !bytes.Equal(r.Bytes(), b) {
			t.Errorf("%x becomes %x", b, r.Bytes())
		}
	})
}
