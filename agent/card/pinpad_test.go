package card

import (
	"encoding/hex"
	"testing"
)

// The structure's layout by PC/SC part 10, for VERIFY of a CNS: 5 to 8 digits.
func TestPinpadStructures(t *testing.T) {
	command, _ := hex.DecodeString("0020001008ffffffffffffffff")
	want := "3c3c" + "82" + "08" + "00" + "0805" + "02" + "01" + "1004" + "00" + "000000" + "0d000000" + "0020001008ffffffffffffffff"
	if got := hex.EncodeToString(verifyStructure(command, 5, 8)); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	answer, _ := hex.DecodeString("060442330006" + "0a044233000a")
	if f := parseFeatures(answer); f[featureVerify] != 0x42330006 || len(f) != 2 {
		t.Errorf("%x", f)
	}
	for _, bad := range []string{"", "06", "0605423300060a", "060342330006"} {
		b, _ := hex.DecodeString(bad)
		if f := parseFeatures(b); f[featureVerify] != 0 {
			t.Errorf("%s: %x", bad, f)
		}
	}
}

func FuzzFeatures(f *testing.F) {
	f.Add([]byte{6, 4, 0x42, 0x33, 0, 6})
	f.Fuzz(func(_ *testing.T, b []byte) { parseFeatures(b) })
}
