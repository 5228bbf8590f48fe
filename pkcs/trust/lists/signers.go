package lists

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Location of the EU's list of lists (Implementing Decision (EU) 2015/1505; the notice
// below confirms it).
const Location = "https://ec.europa.eu/tools/lotl/eu-lotl.xml"

// Notice in the Official Journal that names the LOTL's signers: what the LOTL's scheme
// information lists in front of it are the pivots since then.
const Notice = "https://eur-lex.europa.eu/eli/C/2026/1944/oj"

// official are the signers of notice C/2026/1944 of 15 April 2026.
var official = []string{
	"C0641C4F7D56C431B1C924742DB7FCE9C1EEF7D7FD212113A2768486B3ABCDC5",
	"E0A620FBB6747362BB933AC44169D676A553444716CF5F31605F12A22B8396B1",
	"DF7E29360C34B2B8D6D5F40325C1D4D12C9922CECD33B7407674A74B2B3CA1E5",
	"B63D416744E7098BF9EC2CAA596A93BC2468E37F8284BA65ECC061711BCBAA18",
	"236103F03A8031AE8F47F9059BF8DE38564CDBFEBEDDE4A597D50F8980AA653B",
	"D2064FDD70F6982DCC516B86D9D5C56AEA939417C624B2E478C0B29DE54F8474",
}

// official2019 are those of notice C 276 of 16 August 2019, which the newer one
// replaced; the transition ended on the day of replaced.
var (
	official2019 = []string{
		"5400AB712C41AAF0C40B505E264D5494D8AF4180F8F62955D16223B3290F97C3",
		"9C1A3B646EAF132398EF319E41C8E7ED725B64D5772580AE125D59C0F6845630",
		"59A1BF290B818B177AD61AC4B3E6DCDDD46DA6D5BE9579F8564ADEA6F2CF073E",
		"8E508F03B132500C3403DB66E9DD39CD78F4657C840958A77D34E7BD621468E7",
		"C1A37DB48CD5E0479B97F4DE32E3A7470C52AAFB94C1656EF56F97503992C8A7",
		"D2064FDD70F6982DCC516B86D9D5C56AEA939417C624B2E478C0B29DE54F8474",
		"435504BFD802EDF4DB08CBD7C7729A0D45B227797B727E4E6EA1D31684166342",
		"CCD879B36BB553685BECBD12901C7F41F7BD3E07F898FCBBE1EEC456B03D7589",
	}
	replaced = time.Date(2026, 4, 29, 0, 0, 0, 0, time.UTC)
)

// Official gives the signers that the Official Journal named at a time: a validation
// for a day in the past may be made with the lists of that day.
func Official(at time.Time) Signers {
	s := Signers{}
	list := official
	if at.Before(replaced) {
		list = append(list[:len(list):len(list)], official2019...)
	}
	for _, h := range list {
		b, err := hex.DecodeString(h)
		if err != nil {
			panic(err) // a constant
		}
		s[[32]byte(b)] = true
	}
	return s
}

// ErrSigners means that a text names no signers.
var ErrSigners = errors.New("lists: neither certificates in PEM nor a SHA-256 in hexadecimal")

// ParseSigners reads certificates in PEM, or SHA-256 fingerprints one a line.
func ParseSigners(text []byte) (Signers, error) {
	s := Signers{}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSigners, err)
		}
		s[sha256.Sum256(block.Bytes)] = true
	}
	if len(s) > 0 {
		return s, nil
	}
	for _, line := range strings.Fields(string(text)) {
		b, err := hex.DecodeString(strings.ReplaceAll(line, ":", ""))
		if err != nil || len(b) != sha256.Size {
			return nil, ErrSigners
		}
		s[[32]byte(b)] = true
	}
	if len(s) == 0 {
		return nil, ErrSigners
	}
	return s, nil
}
