package rfc5280

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"testing"
)

// Mappings that double the tree at each level (CVE-2023-0464) meet a limit.
func TestThePolicyTreeIsBounded(t *testing.T) {
	tree := newTree()
	var level []string
	for i := range 20 {
		level = append(level, fmt.Sprintf("1.2.%d", i))
	}
	bounded := false
	for range 30 {
		if !tree.grow(level, true) {
			bounded = true
			break
		}
		m := map[string][]string{}
		for _, p := range level {
			m[p] = level
		}
		tree.mapTo(m)
	}
	if !bounded || tree.nodes > 2*maxNodes {
		t.Errorf("%d nodes", tree.nodes)
	}
	if !tree.empty() {
		t.Error("a tree that became too large still has policies")
	}
}

func name(t *testing.T, tag int, value string) []byte {
	t.Helper()
	v := asn1.RawValue{Tag: tag, Bytes: []byte(value)}
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type nameSET []attribute // encoding/asn1 writes a SET for a type of this name
	der, err := asn1.Marshal([]nameSET{{{asn1.ObjectIdentifier{2, 5, 4, 3}, v}}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSameName(t *testing.T) {
	a := name(t, asn1.TagPrintableString, "Ente  di PROVA ")
	for _, c := range []struct {
		b    []byte
		same bool
	}{
		{name(t, asn1.TagUTF8String, "ente di prova"), true},
		{name(t, asn1.TagUTF8String, "ente diprova"), false},
		{[]byte{0x30, 1}, false},
		{nil, false},
	} {
		if SameName(a, c.b) != c.same {
			t.Errorf("%x", c.b)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte{0x30, 0x0D, 0x31, 0x0B, 0x30, 9, 6, 3, 0x55, 4, 3, 0x13, 2, 'a', 'b'})
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseName(b)
		_, _ = parseSubtrees(b)
		for form := range 9 {
			_ = within(form, map[int]any{formDirectory: []string{}, formDNS: "a.b", formEmail: "a@b"}[form], asn1.RawValue{Tag: form, Bytes: b})
		}
	})
}

// A key is the same for names that are the same, and only for them.
func FuzzSameName(f *testing.F) {
	f.Add([]byte{0x30, 0x0D, 0x31, 0x0B, 0x30, 9, 6, 3, 0x55, 4, 3, 0x13, 2, 'a', 'b'}, []byte{0x30, 0x0D, 0x31, 0x0B, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0C, 2, 'A', 'B'})
	f.Add([]byte{0x30, 0}, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if SameName(a, b) != (NameKey(a) == NameKey(b)) || SameName(a, b) != SameName(b, a) || !SameName(a, a) {
			t.Errorf("%x %x: %v, %q %q", a, b, SameName(a, b), NameKey(a), NameKey(b))
		}
	})
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return
		}
		Validate([]*x509.Certificate{c, c, c}, Params{})
	})
}

// A constraint on names of a form that is not read cannot be kept: nothing below it
// is accepted.
func TestUnknownNameForms(t *testing.T) {
	for name, c := range map[string]struct {
		der  []byte
		want int
	}{
		"a DNS name":             {[]byte{0x30, 7, 0xA0, 5, 0x30, 3, 0x82, 1, 'a'}, 0},
		"permitted registeredID": {[]byte{0x30, 7, 0xA0, 5, 0x30, 3, 0x88, 1, 0x2A}, 1},
		"excluded registeredID":  {[]byte{0x30, 7, 0xA1, 5, 0x30, 3, 0x88, 1, 0x2A}, 1},
	} {
		s := &state{}
		s.constraints(1, &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: c.der}}})
		if len(s.faults) != c.want {
			t.Errorf("%s: %v", name, s.faults)
		}
	}
}
