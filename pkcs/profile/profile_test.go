package profile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/testdata/pki"
)

func TestParseCodiceFiscale(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// The samples of the law's commentaries (facts recomputed by hand).
	for code, want := range map[string]struct {
		born, place      string
		female, omocodia bool
	}{
		"RSSMRA79B11C566R": {"1979-02-11", "C566", false, false},
		"MRTMTT91D08F205J": {"1991-04-08", "F205", false, false},
		"MLLSNT82P65Z404U": {"1982-09-25", "Z404", true, false},
		"RSSMRA85T10A562S": {"1985-12-10", "A562", false, false},
		"RSSMRA85T10A56NH": {"1985-12-10", "A562", false, true},
		"rssmra85t10a56nh": {"1985-12-10", "A562", false, true},
	} {
		cf, err := profile.ParseCodiceFiscale(" " + code + " ")
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		if got := cf.Born(now).Format("2006-01-02"); got != want.born || cf.BirthPlace() != want.place || cf.Female() != want.female || cf.Omocodia() != want.omocodia {
			t.Errorf("%s: born %s in %s, female %v, omocodia %v", code, got, cf.BirthPlace(), cf.Female(), cf.Omocodia())
		}
	}
	cf, err := profile.ParseCodiceFiscale("00743110157")
	if err != nil || !cf.Provisional() || !cf.Born(now).IsZero() || cf.Age(now) != -1 {
		t.Errorf("provisional: %v %v", cf, err)
	}
}

func TestParseCodiceFiscaleBad(t *testing.T) {
	for _, code := range []string{
		"", "RSSMRA79B11C566", "RSSMRA79B11C566RR", "RSSMRA79B11C566S", "RSSMRA79B11C5 6R", "1SSMRA79B11C566R",
		"RSSMRA79F11C566R", "RSSMRA79B00C566Q", "RSSMRA79B35C566R", "RSSMRA79BX1C566R", "00743110158", "0074311015A", "ÀSSMRA79B11C566",
	} {
		if cf, err := profile.ParseCodiceFiscale(code); !errors.Is(err, profile.ErrCodiceFiscale) {
			t.Errorf("%q taken as %q: %v", code, cf, err)
		}
	}
}

func TestOneCharacterChangedIsSeen(t *testing.T) {
	const code = "RSSMRA79B11C566R"
	for i := range 15 {
		for c := byte('0'); c <= 'Z'; c++ {
			if c > '9' && c < 'A' || c == code[i] {
				continue
			}
			changed := code[:i] + string(c) + code[i+1:]
			// A check over 26 values cannot see all; it sees every change within
			// digits or within letters of the same place.
			if _, err := profile.ParseCodiceFiscale(changed); err == nil && (c <= '9') == (code[i] <= '9') {
				t.Errorf("%s passes", changed)
			}
		}
	}
}

func TestAge(t *testing.T) {
	cf := profile.CodiceFiscale("RSSMRA85T10A562S")
	for date, want := range map[string]int{"2026-12-09": 40, "2026-12-10": 41, "2003-12-10": 18} {
		at, _ := time.Parse("2006-01-02", date)
		if got := cf.Age(at); got != want {
			t.Errorf("%s: %d, not %d", date, got, want)
		}
	}
}

func TestIdentify(t *testing.T) {
	p := pki.Shared(t)
	for _, who := range pki.Citizens {
		for kind, want := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.CIE: profile.CIE, pki.Qualified: profile.Qualified} {
			cert := p.MustIssue(t, kind, pki.P256, who).Cert
			got, err := profile.Identify(cert, profile.All)
			if err != nil {
				t.Errorf("%s of %s: %v", kind, who.Given, err)
				continue
			}
			if string(got.CodiceFiscale) != who.CF || got.Given != who.Given || got.Family != who.Surname || got.Profile != want {
				t.Errorf("%s: %+v", kind, got)
			}
			if want == profile.CNS && got.CardID != who.CardID {
				t.Errorf("card id %q", got.CardID)
			}
			// An anchor that is not listed for the profile gives nobody.
			others := slices.DeleteFunc(slices.Clone(profile.All), func(q profile.Profile) bool { return q == want })
			if _, err := profile.Identify(cert, others); !errors.Is(err, profile.ErrUnknown) {
				t.Errorf("%s below an anchor for %v: %v", kind, others, err)
			}
		}
	}
}

func TestIdentifyBad(t *testing.T) {
	p := pki.Shared(t)
	_, err := profile.Identify(p.MustIssue(t, pki.WrongPolicy, pki.P256, pki.Citizens[0]).Cert, profile.All)
	if !errors.Is(err, profile.ErrUnknown) || !strings.Contains(err.Error(), "1.3.76.16.2.99") {
		t.Errorf("wrong policy: %v", err)
	}
	if _, err := profile.Identify(p.MustIssue(t, pki.WrongCF, pki.P256, pki.Citizens[0]).Cert, profile.All); !errors.Is(err, profile.ErrCodiceFiscale) {
		t.Errorf("wrong code: %v", err)
	}
}

func TestPurposes(t *testing.T) {
	p := pki.Shared(t)
	for kind, want := range map[pki.Kind][]profile.Purpose{
		pki.CNS: {profile.Login, profile.AdvancedSignature}, pki.CIE: {profile.Login, profile.AdvancedSignature}, pki.Qualified: {profile.QualifiedSignature}, pki.WrongUsage: nil,
	} {
		cert := p.MustIssue(t, kind, pki.P256, pki.Citizens[0]).Cert
		if got := profile.Purposes(cert); !slices.Equal(got, want) {
			t.Errorf("%s: %v", kind, got)
		}
		if got := profile.SignsHashes(cert); got != (kind == pki.Qualified) {
			t.Errorf("%s signs hashes: %v", kind, got)
		}
	}
}

func FuzzCodiceFiscale(f *testing.F) {
	for _, s := range []string{"RSSMRA79B11C566R", "RSSMRA85T10A56NH", "00743110157", "", "\xff"} {
		f.Add(s)
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, s string) {
		cf, err := profile.ParseCodiceFiscale(s)
		if err != nil {
			return
		}
		_, _, _, _ = cf.Born(now), cf.BirthPlace(), cf.Omocodia(), cf.Age(now)
		if again, err := profile.ParseCodiceFiscale(string(cf)); err != nil || again != cf {
			t.Fatalf("%q does not parse as itself: %v", cf, err)
		}
	})
}
