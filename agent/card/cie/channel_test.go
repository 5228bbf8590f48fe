package cie

import (
	"bytes"
	"errors"
	"testing"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// Retail MAC and padding against ISO/IEC 9797-1's shape: one block and its padding.
func TestRetailMAC(t *testing.T) {
	// The worked example of ICAO Doc 9303-11, appendix D.4 (SELECT EF.COM in secure
	// messaging): keys and counter as printed there.
	mac := []byte{0xF1, 0xCB, 0x1F, 0x1F, 0xB5, 0xAD, 0xF2, 0x08, 0x80, 0x6B, 0x89, 0xDC, 0x57, 0x9D, 0xC1, 0xF8}
	enc := []byte{0x97, 0x9E, 0xC1, 0x3B, 0x1C, 0xBF, 0xE9, 0xDC, 0xD0, 0x1A, 0xB0, 0xFE, 0xD3, 0x07, 0xEA, 0xE5}
	c, err := newChannel(enc, mac, 0x887022120C06C226)
	if err != nil {
		t.Fatal(err)
	}
	got := c.wrap(iso7816.Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: []byte{0x01, 0x1E}, Le: iso7816.NoLe})
	want := []byte{0x87, 0x09, 0x01, 0x63, 0x75, 0x43, 0x29, 0x08, 0xC0, 0x44, 0xF6, 0x8E, 0x08, 0xBF, 0x8B, 0x92, 0xD6, 0x35, 0xFF, 0x24, 0xF8}
	if !bytes.Equal(got.Data, want) || got.CLA != 0x0C {
		t.Errorf("%02X % X\n%02X % X", got.CLA, got.Data, 0x0C, want)
	}
	r, err := c.unwrap(iso7816.Response{Data: []byte{0x99, 0x02, 0x90, 0x00, 0x8E, 0x08, 0xFA, 0x85, 0x5A, 0x5D, 0x4C, 0x50, 0xA8, 0xED}, SW: iso7816.OK})
	if err != nil || r.SW != iso7816.OK {
		t.Errorf("%v", err)
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{0x99, 2, 0x90, 0, 0x8E, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0x87, 9, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x99, 2, 0x90, 0, 0x8E, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := newChannel(bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16), 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.unwrap(iso7816.Response{Data: b, SW: iso7816.OK}); !errors.Is(err, ErrChannel) {
			t.Errorf("taken: %v", err)
		}
	})
}
