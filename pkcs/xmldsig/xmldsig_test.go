package xmldsig_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/xmldsig"
)

// run starts a peer's program; a missing one is a failure that says what to install.
func run(t *testing.T, name string, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: make deps", name)
	}
	return exec.Command(name, args...).Output()
}

var documents = map[string]string{
	"plain":       `<a><b>text</b><c/></a>`,
	"attributes":  "<a z='1' b=\"x&amp;y&lt;&quot;&#9;&#10;&#13;\" xmlns:q='urn:q' q:m='3' xml:lang='it' A='&apos;&gt;'/>",
	"white space": "<a b='one\ttwo\nthree  four'>\r\n  line\rnext &#13; end\n</a>",
	"namespaces":  `<r xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:b"><a:x b:y="1"><z xmlns=""><w xmlns="urn:d"/></z></a:x><b:q xmlns:b="urn:b"/><v xmlns:a="urn:other"><a:s/></v></r>`,
	"unused":      `<r xmlns:u="urn:unused"><s xmlns:u="urn:used"><u:t/></s><t xmlns="urn:x"><t xmlns=""/></t></r>`,
	"comments":    "<?xml version='1.0'?>\n<!-- before --><?pi  data ?><a>x<!-- in --><?in?>y</a><!-- after -->\n<?end it?>",
	"cdata":       `<a><![CDATA[<not> & ]] >]]>tail<![CDATA[]]></a>`,
	"unicode":     "<\u00e8l\u00e9ment \u00e0='\u20ac&#x1F600;'>\U0001F600&#233;</\u00e8l\u00e9ment>",
	"order":       `<e xmlns:b="urn:1" xmlns:a="urn:2" b:x="1" a:x="2" x="3" aa="4"/>`,
	"xml prefix":  `<a xml:space="preserve" xmlns:xml="http://www.w3.org/XML/1998/namespace"><b xml:lang="en"/></a>`,
	"declaration": "\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes' ?><a/>",
}

// xmllint is the judge of canonical forms.
func TestCanonicalAsXMLLint(t *testing.T) {
	for name, text := range documents {
		file := filepath.Join(t.TempDir(), "x.xml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for flag, method := range map[string]string{"--c14n": xmldsig.C14NComments, "--exc-c14n": xmldsig.ExclusiveC14NAll} {
			want, err := run(t, "xmllint", flag, file)
			if err != nil {
				t.Fatalf("%s: xmllint: %v", name, err)
			}
			d, err := xmldsig.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got bytes.Buffer
			if err := xmldsig.Canonical(&got, d.Node, method, nil); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s %s:\n got %q\nwant %q", name, flag, got.Bytes(), want)
			}
		}
	}
}

// What a part takes over from around it (Canonical XML 1.0, 2.4 and 3.7; Exclusive, 2.2
// and 3): the examples are the recommendation's, in small.
func TestCanonicalPart(t *testing.T) {
	d, err := xmldsig.Parse([]byte(`<n0:local xmlns:n0="foo:bar" xmlns:n3="ftp://example.org" xml:lang="en"><n1:elem2 xmlns:n1="http://example.net" xml:space="x"><n3:stuff/></n1:elem2></n0:local>`))
	if err != nil {
		t.Fatal(err)
	}
	part := d.Element().Elements()[0]
	for _, x := range []struct {
		method   string
		prefixes []string
		want     string
	}{
		{xmldsig.C14N, nil, `<n1:elem2 xmlns:n0="foo:bar" xmlns:n1="http://example.net" xmlns:n3="ftp://example.org" xml:lang="en" xml:space="x"><n3:stuff></n3:stuff></n1:elem2>`},
		{xmldsig.ExclusiveC14N, nil, `<n1:elem2 xmlns:n1="http://example.net" xml:space="x"><n3:stuff xmlns:n3="ftp://example.org"></n3:stuff></n1:elem2>`},
		{xmldsig.ExclusiveC14N, []string{"n0", "absent", "#default"}, `<n1:elem2 xmlns:n0="foo:bar" xmlns:n1="http://example.net" xml:space="x"><n3:stuff xmlns:n3="ftp://example.org"></n3:stuff></n1:elem2>`},
	} {
		var got bytes.Buffer
		if err := xmldsig.Canonical(&got, part, x.method, nil, x.prefixes...); err != nil {
			t.Fatal(err)
		}
		if got.String() != x.want {
			t.Errorf("%s %v:\n got %s\nwant %s", x.method, x.prefixes, got.String(), x.want)
		}
	}
}

func TestCanonicalRelativeNamespace(t *testing.T) {
	d, err := xmldsig.Parse([]byte(`<a xmlns="relative"/>`))
	if err != nil {
		t.Fatal(err)
	}
	if err := xmldsig.Canonical(&bytes.Buffer{}, d.Node, xmldsig.C14N, nil); !errors.Is(err, xmldsig.ErrCanonical) {
		t.Error(err)
	}
}

func TestAttackDTDAndEntities(t *testing.T) {
	bomb := `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]><lolz>&lol1;</lolz>`
	for _, text := range []string{
		bomb, "<?xml version='1.0'?>" + bomb, `<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>`, `<a>&xxe;</a>`, `<a b="&e;"/>`,
		`<a><!DOCTYPE b><b/></a>`, `<!doctype a><a/>`, `<a><!ENTITY x "y"></a>`, `<!DOCTYPE a [<!ATTLIST a Id CDATA "default">]><a/>`,
	} {
		if _, err := xmldsig.Parse([]byte(text)); !errors.Is(err, xmldsig.ErrDTD) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAttackDuplicateIDs(t *testing.T) {
	for _, text := range []string{`<a><b Id="x"/><b Id="x"/></a>`, `<a Id="x"><b ID="x"/></a>`, `<a id="x"><b xml:id="x"/></a>`, `<a Id="x" ID="x"/>`} {
		if _, err := xmldsig.Parse([]byte(text)); !errors.Is(err, xmldsig.ErrDuplicateID) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAttackHugeFiles(t *testing.T) {
	for name, text := range map[string]string{
		"bytes":      "<a>" + strings.Repeat(" ", xmldsig.MaxBytes) + "</a>",
		"depth":      strings.Repeat("<a>", 100_000),
		"nodes":      "<a>" + strings.Repeat("<b/>", 500_001) + "</a>",
		"namespaces": manyNamespaces(),
		"attributes": "<a" + manyAttributes(200) + "/>",
	} {
		if _, err := xmldsig.Parse([]byte(text)); !errors.Is(err, xmldsig.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// manyNamespaces makes a parser look each of many names up in a long list.
func manyNamespaces() string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, `<a xmlns:p%d="urn:1" xmlns:q%d="urn:2">`, i, i)
	}
	return b.String() + strings.Repeat("<b/>", 100_000)
}

// Text in many pieces costs no more than in one.
func TestAttackPieces(t *testing.T) {
	d, err := xmldsig.Parse([]byte("<a>" + strings.Repeat("x<!---->", 200_000) + "</a>"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.Element().Text()); n != 200_000 {
		t.Error(n)
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a")
		for range i {
			b.WriteByte('b')
		}
		b.WriteString(`="1"`)
	}
	return b.String()
}

// What is not well-formed is refused: two parsers that forgive differently see two
// documents. xmllint refuses each of them too.
func TestMalformed(t *testing.T) {
	for _, text := range []string{
		"", "text", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>text", "<a b=1/>", "<a b='1'c='2'/>", "<a b='1' b='2'/>", "<a b='<'/>",
		`<p:a/>`, `<a p:b="1"/>`, `<a xmlns:p=""/>`, `<a xmlns:p="urn:1" xmlns:q="urn:1" p:x="1" q:x="2"/>`, `<a xmlns:xmlns="urn:x"/>`, `<a xmlns:xml="urn:x"/>`,
		`<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`, `<a xmlns:p="urn:1" xmlns:p="urn:2"/>`,
		"<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&#x110000;</a>", "<a>&#;</a>", "<a>&#+65;</a>", "<a>& b</a>", "<a>\x01</a>", "<a>]]></a>", "<a>\xff</a>", "<a>\uffff</a>",
		"<a><!-- -- --></a>", "<a><!-- --->", "<a><?xml version='1.0'?></a>", "<a><![CDATA[x</a>", "<?>", "<?x><a/>", "<!-->", "<!--->", "<a><![CDATA[]></a>", "<![CDATA[x]]><a/>", "<a:b:c xmlns:a='urn:a'/>", "<:a/>", "<1a/>", "< a/>", "<a / >",
		"<?xml version='1.1'?><a/>", "<?xml encoding='UTF-8'?><a/>", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "<?xml version='1.0'encoding='UTF-8'?><a/>", "<?xml version='1.0' x='y'?><a/>",
		"\xfe\xff\x00<\x00a",
	} {
		_, err := xmldsig.Parse([]byte(text))
		if !errors.Is(err, xmldsig.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A comment, CDATA or instruction in the middle cuts no text (CVE-2017-11427 and its
// kin).
func TestAttackCommentTruncation(t *testing.T) {
	d, err := xmldsig.Parse([]byte(`<a>user@ente.example<!-- -->.evil<?x?>.example<![CDATA[.it]]></a>`))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Element().Text(); got != "user@ente.example.evil.example.it" {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range documents {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := xmldsig.Parse(data)
		if err != nil {
			return
		}
		for _, method := range []string{xmldsig.C14NComments, xmldsig.ExclusiveC14NAll} {
			var first, second bytes.Buffer
			if err := xmldsig.Canonical(&first, d.Node, method, nil); err != nil {
				continue
			}
			again, err := xmldsig.Parse(first.Bytes())
			if err != nil {
				t.Fatalf("the canonical form %q is not read: %v", first.Bytes(), err)
			}
			if err := xmldsig.Canonical(&second, again.Node, method, nil); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Fatalf("%s of %q: %q, then %q, %v", method, data, first.Bytes(), second.Bytes(), err)
			}
		}
	})
}
