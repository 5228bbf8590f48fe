package rfc5280

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Name forms of GeneralName (RFC 5280, 4.2.1.6) that constraints are read for.
const (
	formEmail     = 1
	formDNS       = 2
	formDirectory = 4
	formURI       = 6
	formIP        = 7
)

var errName = errors.New("rfc5280: a name that cannot be read")

// parseName gives the relative distinguished names of a Name, each in a form in which
// equal names are equal (RFC 5280, 7.1: case and white space of text do not count).
func parseName(der []byte) (out []string, err error) {
	rdns, ok := rdnSequence(der)
	for ok && !rdns.Empty() {
		var rdn string
		if rdn, ok = nextRDN(&rdns); ok {
			out = append(out, rdn)
		}
	}
	if !ok {
		return nil, errName
	}
	return out, nil
}

func rdnSequence(der []byte) (rdns cryptobyte.String, ok bool) {
	s := cryptobyte.String(der)
	return rdns, s.ReadASN1(&rdns, cbasn1.SEQUENCE) && s.Empty()
}

// nextRDN reads one RelativeDistinguishedName and folds it.
func nextRDN(rdns *cryptobyte.String) (string, bool) {
	var set cryptobyte.String
	if !rdns.ReadASN1(&set, cbasn1.SET) {
		return "", false
	}
	var parts []string
	for !set.Empty() {
		var pair, value, raw cryptobyte.String
		var oid asn1.ObjectIdentifier
		var tag cbasn1.Tag
		if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) {
			return "", false
		}
		whole := pair
		if !pair.ReadAnyASN1(&value, &tag) || !pair.Empty() || !whole.ReadAnyASN1Element(&raw, &tag) {
			return "", false
		}
		parts = append(parts, oid.String()+"="+fold(tag, value, raw))
	}
	slices.Sort(parts)
	return strings.Join(parts, "+"), true
}

// SameName compares two Names in DER (RFC 5280, 7.1).
func SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, ok1 := rdnSequence(a)
	y, ok2 := rdnSequence(b)
	for ok1 && ok2 && !x.Empty() && !y.Empty() {
		var left, right cryptobyte.String
		if !x.ReadASN1Element(&left, cbasn1.SET) || !y.ReadASN1Element(&right, cbasn1.SET) {
			return false
		}
		if bytes.Equal(left, right) {
			continue
		}
		l, ok1 := nextRDN(&left)
		r, ok2 := nextRDN(&right)
		if !ok1 || !ok2 || l != r {
			return false
		}
	}
	return ok1 && ok2 && x.Empty() && y.Empty()
}

// NameKey is the same for Names that are the same (SameName), and only for them.
func NameKey(der []byte) string {
	rdns, err := parseName(der)
	if err != nil {
		return "der:" + string(der)
	}
	return strings.Join(rdns, "\x00")
}

// fold writes a value so that no two different ones, nor two of them in a row, look the
// same: text is quoted.
func fold(tag cbasn1.Tag, value, raw []byte) string {
	switch tag {
	case cbasn1.PrintableString, cbasn1.UTF8String, cbasn1.IA5String, cbasn1.T61String:
		text := value
		if !utf8.Valid(text) { // Latin-1, as crypto/x509 reads T61String
			text = nil
			for _, b := range value {
				text = utf8.AppendRune(text, rune(b))
			}
		}
		return strconv.Quote(strings.ToLower(strings.Join(strings.Fields(string(text)), " ")))
	}
	return hex.EncodeToString(raw)
}

// subtrees are the names of one side of NameConstraints, by form.
type subtrees struct {
	any   bool // something was constrained
	forms map[int][]asn1.RawValue
	other bool // a form that is not known here
}

func (t *subtrees) add(other subtrees) {
	t.any = t.any || other.any
	t.other = t.other || other.other
	if t.forms == nil {
		t.forms = map[int][]asn1.RawValue{}
	}
	for form, list := range other.forms {
		t.forms[form] = append(t.forms[form], list...)
	}
}

// constraints reads nameConstraints (RFC 5280, 4.2.1.10) into the state (6.1.4, (g)).
func (s *state) constraints(i int, c *x509.Certificate) {
	for _, e := range c.Extensions {
		if e.Id.String() != oidNameConstraints {
			continue
		}
		var nc struct {
			Permitted asn1.RawValue `asn1:"optional,tag:0"`
			Excluded  asn1.RawValue `asn1:"optional,tag:1"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &nc); err != nil || len(rest) > 0 {
			s.fault(i, "malformed", "name constraints")
			continue
		}
		permitted, err1 := parseSubtrees(nc.Permitted.Bytes)
		excluded, err2 := parseSubtrees(nc.Excluded.Bytes)
		if err1 != nil || err2 != nil {
			s.fault(i, "malformed", "name constraints")
			continue
		}
		if permitted.other || excluded.other {
			// A form that is not read here: the constraint cannot be kept, so nothing
			// below it is accepted (4.2.1.10).
			s.fault(i, "critical-extension", "%s constrains names of a form that is not known", c.Subject)
		}
		if permitted.any {
			s.permitted = append(s.permitted, permitted)
		}
		s.excluded.add(excluded)
	}
}

func parseSubtrees(b []byte) (subtrees, error) {
	t := subtrees{forms: map[int][]asn1.RawValue{}}
	for len(b) > 0 {
		var seq asn1.RawValue
		var err error
		if b, err = asn1.Unmarshal(b, &seq); err != nil {
			return t, errName
		}
		var base asn1.RawValue
		rest, err := asn1.Unmarshal(seq.Bytes, &base)
		if err != nil || len(rest) > 0 { // minimum and maximum are not used (4.2.1.10)
			return t, errName
		}
		t.any = true
		switch base.Tag {
		case formEmail, formDNS, formDirectory, formURI, formIP:
			t.forms[base.Tag] = append(t.forms[base.Tag], base)
		default:
			t.other = true
		}
	}
	return t, nil
}

// names checks a certificate's names against all constraints so far (6.1.3, (b), (c)).
func (s *state) names(i int, c *x509.Certificate) {
	if len(s.permitted) == 0 && !s.excluded.any {
		return
	}
	check := func(form int, value any, shown string) {
		for _, p := range s.permitted {
			if list := p.forms[form]; len(list) > 0 && !slices.ContainsFunc(list, func(b asn1.RawValue) bool { return within(form, value, b) }) {
				s.fault(i, "name-constraints", "%s is not permitted", shown)
			}
		}
		if slices.ContainsFunc(s.excluded.forms[form], func(b asn1.RawValue) bool { return within(form, value, b) }) {
			s.fault(i, "name-constraints", "%s is excluded", shown)
		}
	}
	if rdns, err := parseName(c.RawSubject); err != nil {
		s.fault(i, "malformed", "subject")
	} else if len(rdns) > 0 {
		check(formDirectory, rdns, c.Subject.String())
	}
	emails := c.EmailAddresses
	if len(emails) == 0 { // 4.2.1.10: the attribute counts where there is no such alternative name
		for _, a := range c.Subject.Names {
			if a.Type.String() == "1.2.840.113549.1.9.1" {
				if v, ok := a.Value.(string); ok {
					emails = append(emails, v)
				}
			}
		}
	}
	for _, v := range emails {
		check(formEmail, v, v)
	}
	for _, v := range c.DNSNames {
		check(formDNS, v, v)
	}
	for _, v := range c.URIs {
		if host := v.Hostname(); (host == "" || net.ParseIP(host) != nil) && len(s.excluded.forms[formURI]) > 0 {
			s.fault(i, "name-constraints", "%s has no host name to be compared", v)
		}
		check(formURI, v, v.String())
	}
	for _, v := range c.IPAddresses {
		check(formIP, v, v.String())
	}
	if unreadNames(c) {
		s.fault(i, "name-constraints", "%s has alternative names that cannot be read", c.Subject)
	}
	for _, rdns := range directoryNames(c) {
		check(formDirectory, rdns, strings.Join(rdns, ", "))
	}
}

// unreadNames: there are alternative names of a kind that constraints are for, and
// pkcs/certificate could not read them.
func unreadNames(c *x509.Certificate) bool {
	if len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses)+len(c.URIs) > 0 {
		return false // crypto/x509 reads all of them or none
	}
	for _, e := range c.Extensions {
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		var seq asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &seq); err != nil || len(rest) > 0 {
			return true
		}
		for rest := seq.Bytes; len(rest) > 0; {
			var v asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &v); err != nil {
				return true
			}
			switch v.Tag {
			case formEmail, formDNS, formURI, formIP:
				return true
			}
		}
	}
	return false
}

// directoryNames are those among the alternative names.
func directoryNames(c *x509.Certificate) (list [][]string) {
	for _, e := range c.Extensions {
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		var seq asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &seq); err != nil {
			continue
		}
		for rest := seq.Bytes; len(rest) > 0; {
			var v asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &v); err != nil {
				break
			}
			if v.Class == asn1.ClassContextSpecific && v.Tag == formDirectory {
				if rdns, err := parseName(v.Bytes); err == nil {
					list = append(list, rdns)
				}
			}
		}
	}
	return list
}

// within tells whether a name is in a subtree (RFC 5280, 4.2.1.10).
func within(form int, value any, base asn1.RawValue) bool {
	text := strings.ToLower(string(base.Bytes))
	switch form {
	case formDirectory:
		want, err := parseName(base.Bytes)
		have, ok := value.([]string)
		return err == nil && ok && len(have) >= len(want) && slices.Equal(have[:len(want)], want)
	case formDNS:
		name, ok := value.(string)
		name = strings.ToLower(name)
		return ok && (text == "" || name == text || strings.HasSuffix(name, "."+strings.TrimPrefix(text, ".")))
	case formEmail:
		name, _ := value.(string)
		at := strings.LastIndexByte(name, '@')
		if at < 0 {
			return false
		}
		host := strings.ToLower(name[at+1:])
		switch {
		case strings.Contains(text, "@"):
			// The local part keeps its case (7.5).
			wantAt := strings.LastIndexByte(string(base.Bytes), '@')
			return name[:at] == string(base.Bytes)[:wantAt] && host == text[wantAt+1:]
		case strings.HasPrefix(text, "."):
			return strings.HasSuffix(host, text)
		}
		return host == text
	case formURI:
		u, ok := value.(*url.URL)
		if !ok {
			return false
		}
		host := strings.ToLower(u.Hostname())
		if strings.HasPrefix(text, ".") {
			return strings.HasSuffix(host, text)
		}
		return host == text
	case formIP:
		ip, ok := value.(net.IP)
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		if !ok || len(base.Bytes) != 2*len(ip) {
			return false
		}
		return (&net.IPNet{IP: base.Bytes[:len(ip)], Mask: base.Bytes[len(ip):]}).Contains(ip)
	}
	return false
}
