package cns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// personal writes EF_DatiPersonali with the given fields, padded to size.
func personal(size int, fields ...string) []byte {
	var body strings.Builder
	for i := range personalFields {
		v := ""
		if i < len(fields) {
			v = fields[i]
		}
		fmt.Fprintf(&body, "%02X%s", len(v), v)
	}
	ef := fmt.Sprintf("%06X%s", body.Len(), body.String())
	return append([]byte(ef), make([]byte, max(0, size-len(ef)))...)
}

func TestParsePersonalData(t *testing.T) {
	ef := personal(400, "6090", "01022025", "01022031", "ESEMPIO", "PROVA", "10011980", "M", "", "PRVSMP80A10H501X")
	p, err := ParsePersonalData(ef)
	if err != nil {
		t.Fatal(err)
	}
	if p.Surname != "ESEMPIO" || p.Name != "PROVA" || p.CodiceFiscale != "PRVSMP80A10H501X" || p.Address != "" {
		t.Errorf("read %+v", p)
	}
	if got := p.ExpiresOn.Format("2006-01-02"); got != "2031-02-01" {
		t.Errorf("expires %s", got)
	}
}

func TestParsePersonalDataNames(t *testing.T) {
	p, err := ParsePersonalData(personal(0, "6090", "", "99999999", "D\xc0\x1b[2J", "N\x00N"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Surname != "DÀ [2J" || p.Name != "N N" || !p.ExpiresOn.IsZero() {
		t.Errorf("read %+v", p)
	}
}

func TestParsePersonalDataBad(t *testing.T) {
	good := personal(0, "6090")
	for name, ef := range map[string][]byte{
		"empty":        {},
		"short length": []byte("0000"),
		"not hex":      []byte("00ZZ00"),
		"too long":     []byte("FFFFFF00"),
		"field cut":    []byte("000004" + "05ab"),
		"few fields":   []byte("000004" + "0000"),
		"last missing": append([]byte(fmt.Sprintf("%06X", len(good)-8)), good[6:len(good)-2]...),
	} {
		if _, err := ParsePersonalData(ef); !errors.Is(err, ErrFile) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseCardID(t *testing.T) {
	// Published in the OpenSC wiki's page on Italian cards.
	if id, err := ParseCardID([]byte("7430010024925855")); err != nil || id != "7430010024925855" {
		t.Errorf("got %q, %v", id, err)
	}
	for _, bad := range []string{"", "743001002492585", "7430010024925856", "743001002492585a"} {
		if _, err := ParseCardID([]byte(bad)); !errors.Is(err, ErrFile) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add(personal(400, "6090", "01022025", "", "ESEMPIO", "PROVA"))
	f.Add([]byte("7430010024925855"))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x05, 0, 0})
	f.Fuzz(func(_ *testing.T, ef []byte) {
		_, _ = ParsePersonalData(ef)
		_, _ = ParseCardID(ef)
		_, _ = certificateDER(ef)
	})
}
