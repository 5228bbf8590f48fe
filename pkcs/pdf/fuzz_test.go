package pdf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// sample is a file with a table, an object stream and a cross-reference stream.
func sample() []byte {
	out := []byte("%PDF-1.7\n")
	at := map[int]int{}
	put := func(num int, body string) {
		at[num] = len(out)
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", num, body)
	}
	put(1, "<</Type/Catalog/Pages 2 0 R/Names(a\\(b\\051\\r)/X<414>/Y[1 -.5 +7 true null 2 0 R]/Z#20<</N/a>>>>")
	put(2, "<</Type/Pages/Kids[3 0 R]/Count 1>>")
	put(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R>>")
	put(4, "<</Length 6 0 R/Filter[/ASCIIHexDecode]>>\nstream\n48656c6c6f>\nendstream")
	packed := "7 0 8 4 42\n (x)"
	put(5, fmt.Sprintf("<</Type/ObjStm/N 2/First 8/Length %d>>\nstream\n%s\nendstream", len(packed), packed))
	put(6, "11")
	at[9] = len(out)
	rows := []byte{0, 0, 0, 0}
	for n := 1; n <= 6; n++ {
		rows = append(rows, 1, byte(at[n]>>8), byte(at[n]), 0)
	}
	rows = append(rows, 2, 0, 5, 0, 2, 0, 5, 1, 1, byte(at[9]>>8), byte(at[9]), 0)
	out = fmt.Appendf(out, "9 0 obj\n<</Type/XRef/Size 10/W[1 2 1]/Root 1 0 R/Length %d>>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n", len(rows), rows, at[9])
	return out
}

func table() []byte {
	return []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n" +
		"xref\n0 3\n0000000000 65535 f\r\n0000000009 00000 n\r\n0000000053 00000 n\r\ntrailer<</Size 3/Root 1 0 R/Prev 97>>\nstartxref\n97\n%%EOF\n")
}

// What is read from the sample is what was written; so the fuzzing begins in deep water.
func TestSample(t *testing.T) {
	data := sample()
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil || f.Rebuilt {
		t.Fatal(err, f.Problem)
	}
	s, ok := f.Resolve(Ref{Num: 4}).(*Stream)
	if !ok {
		t.Fatal("no stream")
	}
	if text, err := f.Decode(s); err != nil || string(text) != "Hello" {
		t.Errorf("%q %v", text, err)
	}
	if n, _ := f.Int(Ref{Num: 7}); n != 42 {
		t.Errorf("object 7: %v", f.Resolve(Ref{Num: 7}))
	}
	c := f.Catalog()
	if x, _ := c["Names"].(String); string(x) != "a(b)\r" {
		t.Errorf("%q", x)
	}
	if x, _ := c["X"].(String); string(x) != "A@" {
		t.Errorf("%q", x)
	}
	if _, ok := c["Z "].(Dict); !ok || len(f.Array(c["Y"])) != 6 {
		t.Errorf("%v", c)
	}
}

// everything reads all that a file has, as a verifier might.
func everything(f *File) {
	for _, n := range f.Numbers() {
		o, err := f.Get(Ref{Num: n})
		if err != nil {
			continue
		}
		if s, ok := o.(*Stream); ok {
			_, _ = f.Decode(s)
		}
		_, _, _ = f.Spans(n)
		_ = f.Resolve(o)
	}
	_, _, _ = f.Revisions(), f.Linearized(), f.Catalog()
}

func FuzzOpen(f *testing.F) {
	f.Add(sample())
	f.Add(table())
	f.Add([]byte("%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj trailer<</Root 1 0 R>>"))
	f.Add([]byte("%PDF-1.7\nxref\n0 99999999\n"))
	for _, v := range []string{"V 2/R 3/Length 128", "V 4/R 4/StmF/S/StrF/S/CF<</S<</CFM/AESV2>>>>", "V 5/R 6/UE<00>/StmF/S/CF<</S<</CFM/AESV3>>>>"} {
		f.Add(bytes.Replace(table(), []byte("/Size 3"), []byte("/Size 3/Encrypt<</Filter/Standard/"+v+"/O<"+strings.Repeat("00", 48)+">/U<"+strings.Repeat("00", 48)+">/P -4>>"), 1))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if file, err := Open(bytes.NewReader(data), int64(len(data))); err == nil {
			everything(file)
			// What may be appended to must be readable afterwards.
			if u, err := file.Increment(); err == nil {
				u.Set(u.New(), Dict{"Type": Name("Test")})
				_, _, _ = u.Finish()
			}
		}
	})
}

// A cross-reference of any bytes, before a sound rest.
func FuzzXRef(f *testing.F) {
	f.Add([]byte("0 3\n0000000000 65535 f\r\n0000000009 00000 n\r\n0000000053 00000 n\r\ntrailer<</Size 3/Root 1 0 R>>"), false)
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x09\x00"), true)
	f.Fuzz(func(_ *testing.T, body []byte, stream bool) {
		data := []byte("%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n")
		start := len(data)
		if stream {
			data = fmt.Appendf(data, "3 0 obj<</Type/XRef/Size 9/W[1 2 1]/Root 1 0 R/Length %d>>stream\n%s\nendstream endobj", len(body), body)
		} else {
			data = append(append(data, "xref\n"...), body...)
		}
		data = fmt.Appendf(data, "\nstartxref\n%d\n%%%%EOF\n", start)
		if file, err := Open(bytes.NewReader(data), int64(len(data))); err == nil {
			everything(file)
		}
	})
}

// What is read as an object and written again is read as the same.
func FuzzObject(f *testing.F) {
	for _, s := range []string{"<</A 1/B[(x)<41>]>>", "[1 0 R -2.5 true null /N#41]", "(\\101\\\n(b))", strings.Repeat("[", 100), "1e5", "<<", "9999999999999999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := newLexer(bytes.NewReader(data), int64(len(data)), 0).object()
		if err != nil {
			return
		}
		once := Append(nil, o)
		again, err := newLexer(bytes.NewReader(once), int64(len(once)), 0).object()
		if err != nil {
			t.Fatalf("%q became %q: %v", data, once, err)
		}
		if twice := Append(nil, again); !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q and then %q", data, once, twice)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("<</Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>>>"), []byte("x\x9cc`\x00\x00\x00\x04\x00\x01"))
	f.Add([]byte("<</Filter[/A85/AHx]>>"), []byte("<~87cUR~>"))
	f.Fuzz(func(_ *testing.T, dict, body []byte) {
		data := bytes.Join([][]byte{[]byte("%PDF-1.7\n1 0 obj\n"), dict, []byte("\nstream\n"), body, []byte("\nendstream\nendobj\n")}, nil)
		file, err := open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if s, ok := firstStream(file); ok {
			_, _ = file.Decode(s)
		}
	})
}

func firstStream(f *File) (*Stream, bool) {
	o, err := f.indirectAt(9, 1)
	s, ok := o.(*Stream)
	return s, ok && err == nil
}

func FuzzText(f *testing.F) {
	f.Add([]byte("D:20261124120000+01'00'"))
	f.Add([]byte("\xfe\xff\xd8\x00"))
	f.Fuzz(func(_ *testing.T, s []byte) {
		_ = Text(s)
		_, _ = ParseDate(s)
	})
}
