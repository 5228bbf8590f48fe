package cns

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrFile means that a file of the card does not hold what the CNS file system says.
var ErrFile = errors.New("cns: file content")

// PersonalData is EF_DatiPersonali (file system of the CNS, DF1/EF 1102). Fields
// that the issuer left out are empty: a TS-CNS has no height, no citizenship, no
// address.
type PersonalData struct {
	Issuer        string
	IssuedOn      time.Time // zero when absent
	ExpiresOn     time.Time // zero when absent
	Surname       string
	Name          string
	BornOn        time.Time // zero when absent
	Sex           string
	Height        string
	CodiceFiscale string
	Citizenship   string
	BirthTown     string // Belfiore code
	BirthCountry  string
	BirthRecord   string
	Town          string // Belfiore code
	Address       string
	ExitNotes     string
}

// personalFields is how many fields the file holds, in the order of PersonalData.
const personalFields = 16

// lengthDigits is the size of the file's own length: six hexadecimal characters.
const lengthDigits = 6

// ParsePersonalData reads EF_DatiPersonali: six hexadecimal characters for the
// length of what follows, then sixteen fields of two hexadecimal characters for
// the length and the value in Latin-1. Padding after it is passed over.
func ParsePersonalData(ef []byte) (PersonalData, error) {
	var p PersonalData
	total, rest, err := hexLength(ef, lengthDigits)
	if err != nil {
		return p, fmt.Errorf("%w: personal data: %w", ErrFile, err)
	}
	if total > len(rest) {
		return p, fmt.Errorf("%w: personal data: says %d bytes, has %d", ErrFile, total, len(rest))
	}
	rest = rest[:total]
	var fields [personalFields]string
	for i := range fields {
		n, tail, err := hexLength(rest, 2)
		if err != nil {
			return p, fmt.Errorf("%w: personal data, field %d: %w", ErrFile, i+1, err)
		}
		if n > len(tail) {
			return p, fmt.Errorf("%w: personal data, field %d: says %d bytes, has %d", ErrFile, i+1, n, len(tail))
		}
		fields[i] = latin1(tail[:n])
		rest = tail[n:]
	}
	p = PersonalData{
		Issuer: fields[0], IssuedOn: date(fields[1]), ExpiresOn: date(fields[2]),
		Surname: fields[3], Name: fields[4], BornOn: date(fields[5]), Sex: fields[6], Height: fields[7],
		CodiceFiscale: fields[8], Citizenship: fields[9], BirthTown: fields[10], BirthCountry: fields[11],
		BirthRecord: fields[12], Town: fields[13], Address: fields[14], ExitNotes: fields[15],
	}
	return p, nil
}

func hexLength(b []byte, digits int) (n int, rest []byte, err error) {
	if len(b) < digits {
		return 0, nil, errors.New("length missing")
	}
	v, err := strconv.ParseUint(string(b[:digits]), 16, 24)
	if err != nil {
		return 0, nil, errors.New("length is not hexadecimal")
	}
	return int(v), b[digits:], nil
}

// latin1 turns the card's bytes into text; control characters, which have no
// place in a name and could reorder or hide what a window shows, become spaces.
func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			c = ' '
		}
		s.WriteRune(rune(c))
	}
	return strings.TrimSpace(s.String())
}

// date reads ddMMyyyy; what is not a date is absent.
func date(s string) time.Time {
	t, err := time.Parse("02012006", s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ParseCardID reads EF_IDCarta: sixteen ASCII digits of which the last is the
// Luhn check digit (ISO/IEC 7812-1, annex B) over the others.
func ParseCardID(ef []byte) (string, error) {
	const digits = 16
	if len(ef) < digits {
		return "", fmt.Errorf("%w: card id: %d bytes, not %d", ErrFile, len(ef), digits)
	}
	id := string(ef[:digits])
	sum := 0
	for i := range digits {
		c := id[i]
		if c < '0' || c > '9' {
			return "", fmt.Errorf("%w: card id: not digits", ErrFile)
		}
		d := int(c - '0')
		if i%2 == 0 { // every second digit from the right, the check digit not counted
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	if sum%10 != 0 {
		return "", fmt.Errorf("%w: card id: check digit", ErrFile)
	}
	return id, nil
}

// certificateDER cuts the certificate out of a file that is padded to its size.
func certificateDER(ef []byte) ([]byte, error) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(ef, &raw)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", ErrFile, err)
	}
	if raw.Tag != asn1.TagSequence || !raw.IsCompound {
		return nil, fmt.Errorf("%w: certificate: not a SEQUENCE", ErrFile)
	}
	return bytes.Clone(ef[:len(ef)-len(rest)]), nil
}
