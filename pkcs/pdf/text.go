package pdf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a text string (7.9.2.2): UTF-16BE or UTF-8 with a mark, else
// PDFDocEncoding, taken for Latin-1, which it is for letters.
func Text(s String) string {
	switch {
	case bytes.HasPrefix(s, []byte{0xFE, 0xFF}):
		units := make([]uint16, 0, len(s)/2)
		for i := 2; i+1 < len(s); i += 2 {
			units = append(units, binary.BigEndian.Uint16(s[i:]))
		}
		return string(utf16.Decode(units))
	case bytes.HasPrefix(s, []byte{0xEF, 0xBB, 0xBF}) && utf8.Valid(s[3:]):
		return string(s[3:])
	}
	var b strings.Builder
	for _, c := range s {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// EncodeText writes a text string, UTF-16BE where ASCII does not do.
func EncodeText(s string) String {
	ascii := true
	for _, c := range s {
		ascii = ascii && c < 0x80
	}
	if ascii {
		return String(s)
	}
	out := String{0xFE, 0xFF}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

// ParseDate reads a date (7.9.4), "D:20261124120000+01'00'"; what is left out is the
// beginning, and UTC.
func ParseDate(s String) (time.Time, error) {
	text := strings.TrimPrefix(string(s), "D:")
	digits := 0
	for digits < len(text) && digits < 14 && isDigit(text[digits]) {
		digits++
	}
	const whole = "20060102150405"
	if digits < 4 || digits%2 != 0 {
		return time.Time{}, fmt.Errorf("%w: date", ErrMalformed)
	}
	t, err := time.Parse(whole[:digits], text[:digits])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: date", ErrMalformed)
	}
	zone := strings.ReplaceAll(text[digits:], "'", "")
	if zone == "" || zone[0] == 'Z' {
		return t, nil
	}
	if len(zone) == 3 {
		zone += "00"
	}
	z, err := time.Parse("-0700", zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: date", ErrMalformed)
	}
	_, offset := z.Zone()
	return t.Add(-time.Duration(offset) * time.Second), nil
}

// Date writes a date.
func Date(t time.Time) String {
	return String(t.UTC().Format("D:20060102150405") + "Z")
}
