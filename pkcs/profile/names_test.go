package profile

import "testing"

func TestNameCodes(t *testing.T) {
	for _, c := range []struct{ family, given, want string }{
		{"Rossi", "Mario", "RSSMRA"}, {"Bianchi", "Gianfranco", "BNCGFR"}, {"Fo", "Io", "FOXIOX"}, {"Aiello", "Anna", "LLANNA"},
		{"D'Angelo", "Niccolò", "DNGNCL"}, {"De Luca", "Maria Grazia", "DLCMGR"}, {"", "Li", "XXXLIX"}, {"Müller", "Zoë", "MLLZOE"},
	} {
		if got := FamilyCode(c.family) + GivenCode(c.given); got != c.want {
			t.Errorf("%s %s: %s, not %s", c.family, c.given, got, c.want)
		}
	}
}
