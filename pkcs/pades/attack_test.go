package pades_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// judged reads the first signature and judges it by itself: who signed does not matter
// here, so what remains is the format and the digest.
func judged(t *testing.T, doc []byte) (*validation.Facts, *validation.Result) {
	t.Helper()
	f := read(t, doc)[0]
	return f, validation.Judge(f, validation.Default())
}

func refused(t *testing.T, doc []byte, sub validation.SubIndication) {
	t.Helper()
	f, r := judged(t, doc)
	if r.Indication != validation.TotalFailed || r.SubIndication != sub {
		t.Errorf("%s %s: %+v %+v", r.Indication, r.SubIndication, f.Faults, f.PDF)
	}
}

func id(t *testing.T) *pki.Identity {
	return pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
}

// Universal signature forgery (Mladenov et al., 2019): what the verifier needs is missing
// or of another kind. Lengths stay, so nothing else gives it away.
func TestUniversalForgery(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{})
	whole := regexp.MustCompile(`/ByteRange [^/]*`).FindString(string(signed))
	same := func(s string) string { return s + strings.Repeat(" ", len(whole)-len(s)) }
	for name, to := range map[string]string{
		"no ByteRange":       strings.Replace(whole, "/ByteRange", "/ByteRangf", 1),
		"null ByteRange":     same("/ByteRange null"),
		"empty ByteRange":    same("/ByteRange []"),
		"two numbers":        same("/ByteRange [0 99]"),
		"negative":           same("/ByteRange [0 -1 9 -1]"),
		"all zero":           same("/ByteRange [0 0 0 0]"),
		"not from the start": strings.Replace(whole, "[0 ", "[9 ", 1),
		"beyond the end":     same("/ByteRange [0 9 99999999 9]"),
		"a string":           same("/ByteRange (0 9 9 9)"),
		"overflow":           same("/ByteRange [0 9 9223372036854775807 9]"),
		"overlapping":        same("/ByteRange [0 500 400 999]"),
		"one number twice":   same("/ByteRange [0 99 99 0]"),
		"six numbers":        same("/ByteRange [0 9 9 9 18 9]"),
		"a reference":        same("/ByteRange 4 0 R"),
		"no SubFilter":       "",
	} {
		t.Run(name, func(t *testing.T) {
			doc := bytes.Replace(signed, []byte(whole), []byte(to), 1)
			if to == "" {
				doc = bytes.Replace(signed, []byte("/SubFilter"), []byte("/SubFiltex"), 1)
			}
			refused(t, doc, validation.FormatFailure)
		})
	}
	for name, to := range map[string]string{"no Contents": "/Contentx <", "null Contents": "/Contents null/X<"} {
		t.Run(name, func(t *testing.T) {
			refused(t, bytes.Replace(signed, []byte("/Contents <"), []byte(to), 1), validation.FormatFailure)
		})
	}
}

// Signature wrapping: the second range is moved behind what the attacker put between.
func TestSignatureWrapping(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{})
	m := byteRange.FindSubmatch(signed)
	var a, b, c int
	if _, err := fmt.Sscan(string(m[1])+" "+string(m[2])+" "+string(m[3]), &a, &b, &c); err != nil {
		t.Fatal(err)
	}
	// The new ByteRange is a second key behind the value: readers take the last one.
	evil := "\n/ByteRange [0 " + fmt.Sprint(a) + " %d " + fmt.Sprint(c) + "]\n>>\nendobj\n" +
		"4 0 obj\n" + stream("", "BT /F1 24 Tf 72 720 Td (Altro) Tj ET") + "\nendobj\n"
	head := slices.Concat(signed[:b], fmt.Appendf(nil, evil, b+len(evil)+2))
	doc := slices.Concat(head, signed[b:])
	refused(t, doc, validation.FormatFailure)
}

// A signature's dictionary is written again in a later revision, with the same value.
func TestSignatureDictionaryReplaced(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{Reason: "Rifiuto"})
	at := bytes.Index(signed, []byte("/Reason"))
	from := bytes.LastIndex(signed[:at], []byte(" 0 obj"))
	start := bytes.LastIndexByte(signed[:from], '\n') + 1
	end := bytes.Index(signed[at:], []byte("endobj")) + at
	var num int
	if _, err := fmt.Sscan(string(signed[start:from]), &num); err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(string(signed[from+len(" 0 obj"):end]), fmt.Sprintf("%x", "Rifiuto"), fmt.Sprintf("%x", "Consenso"), 1)
	refused(t, file(signed, 1, object{num, body}), validation.FormatFailure)
}

// What later revisions do: attacks and what is permitted.
func TestChangesAfterSigning(t *testing.T) {
	signed := sign(t, form(), signer(id(t)), pades.PrepareOptions{})
	text := func(s string) object { return object{4, stream("", "BT /F1 24 Tf 72 720 Td ("+s+") Tj ET")} }
	page := func(more string) object {
		return object{3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots 9 0 R/Resources<</Font<</F1 5 0 R>>/XObject<</Im1 10 0 R>>>>" + more + ">>"}
	}
	for name, x := range map[string]struct {
		objects []object
		want    string
		fails   bool
	}{
		"incremental saving: another text":          {[]object{text("Altro")}, "page-content", true},
		"incremental saving: another page":          {[]object{{2, "<</Type/Pages/Kids[50 0 R]/Count 1>>"}, {50, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 51 0 R>>"}, {51, stream("", "")}}, "page-content", true},
		"a page added":                              {[]object{{2, "<</Type/Pages/Kids[3 0 R 50 0 R]/Count 2>>"}, {50, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"}}, "page-count", true},
		"shadow, hide: the picture over it is gone": {[]object{{10, "null"}}, "page-content", true},
		"shadow, hide and replace: another tree":    {[]object{{1, "<</Type/Catalog/Pages 50 0 R/AcroForm 6 0 R>>"}, {50, "<</Type/Pages/Kids[]/Count 0>>"}}, "page-count", true},
		"shadow, replace: the field's picture":      {[]object{{11, stream("/Type/XObject/Subtype/Form/BBox[0 0 228 20]", "0 0 228 20 re f")}}, "page-content", true},
		"shadow, replace: the font":                 {[]object{{5, "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"}}, "page-content", true},
		"layers":                                    {[]object{{1, "<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R/OCProperties<</OCGs[]/D<<>>>>>>"}}, "page-content", true},
		"a larger page":                             {[]object{page("/CropBox[0 0 10 10]")}, "page-content", true},
		"shadow, hide: the field over it is gone":   {[]object{{7, "<<>>"}}, "page-content", true},
		"shadow, replace: a field over it":          {[]object{{9, "[7 0 R 8 0 R 50 0 R]"}, {50, "<</Type/Annot/Subtype/Widget/FT/Tx/T(b)/V(Altro)/Rect[72 700 300 750]/P 3 0 R/AP<</N 11 0 R>>>>"}}, "page-content", true},
		"the field moved":                           {[]object{{7, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nome)/Rect[0 0 595 842]/P 3 0 R/AP<</N 11 0 R>>>>"}}, "page-content", true},
		"the field hidden":                          {[]object{{7, "<</Type/Annot/Subtype/Widget/F 2/FT/Tx/T(nome)/Rect[72 600 300 620]/P 3 0 R/AP<</N 11 0 R>>>>"}}, "page-content", true},
		"an annotation over it":                     {[]object{{9, "[7 0 R 8 0 R 50 0 R]"}, {50, "<</Type/Annot/Subtype/FreeText/Rect[72 700 300 750]/Contents(Altro)>>"}}, "annotation", false},
		"an action":                                 {[]object{{1, "<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R/OpenAction<</S/JavaScript/JS(1)>>>>"}}, "undefined", false},
		"the form filled in":                        {[]object{{7, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nome)/V(Anna)/Rect[72 600 300 620]/P 3 0 R/AP<</N 50 0 R>>>>"}, {50, stream("/Type/XObject/Subtype/Form/BBox[0 0 228 20]", "BT ET")}}, "form-fill", false},
		"metadata":                                  {[]object{{1, "<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R/Metadata 50 0 R>>"}, {50, stream("/Type/Metadata/Subtype/XML", "<x/>")}}, "metadata", false},
	} {
		t.Run(name, func(t *testing.T) {
			objects := slices.Clone(x.objects)
			for i, o := range objects {
				if o.num == 9 || o.num == 1 || o.num == 6 {
					objects[i].body = keepSignature(t, signed, o)
				}
			}
			doc := file(signed, 1, objects...)
			f, r := judged(t, doc)
			if !slices.ContainsFunc(f.PDF.Changes, func(c validation.PDFChange) bool { return c.ID == x.want }) {
				t.Errorf("%+v", f.PDF.Changes)
			}
			if failed := r.Indication == validation.TotalFailed && r.SubIndication == validation.FormatFailure; failed != x.fails {
				t.Errorf("%s %s: %+v", r.Indication, r.SubIndication, f.PDF.Changes)
			}
		})
	}
}

// A crowd of harmless changes hides none that is not.
func TestCrowdOfChanges(t *testing.T) {
	signed := sign(t, form(), signer(id(t)), pades.PrepareOptions{})
	objects := []object{{5, "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"}}
	list := "[7 0 R 8 0 R"
	for n := 100; n < 400; n++ {
		list += fmt.Sprintf(" %d 0 R", n)
		objects = append(objects, object{n, "<</Type/Annot/Subtype/Text/Rect[0 0 9 9]>>"})
	}
	objects = append(objects, object{9, keepSignature(t, signed, object{9, list + "]"})})
	doc := file(signed, 1, objects...)
	refused(t, doc, validation.FormatFailure)
	if f := read(t, doc)[0]; len(f.PDF.Changes) > 100 {
		t.Errorf("%d changes are told", len(f.PDF.Changes))
	}
}

// keepSignature leaves the signature's field where an attack writes what lists it.
func keepSignature(t *testing.T, signed []byte, o object) string {
	t.Helper()
	if o.num != 9 {
		return o.body
	}
	at := bytes.LastIndex(signed, []byte("\n9 0 obj\n"))
	end := bytes.IndexByte(signed[at+9:], ']')
	list := string(signed[at+9 : at+9+end])
	return list + strings.TrimPrefix(o.body, "[7 0 R 8 0 R")
}

// Bytes behind the signature that no cross-reference names: some readers find them.
func TestBytesThatNothingNames(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{})
	doc := append(bytes.Clone(signed), "4 0 obj\n"+stream("", "BT (Altro) Tj ET")+"\nendobj\n"...)
	at := bytes.LastIndex(signed, []byte("startxref"))
	refused(t, append(doc, signed[at:]...), validation.FormatFailure)
	// White space harms nobody.
	if _, r := judged(t, append(bytes.Clone(signed), "\r\n\r\n"...)); r.Indication == validation.TotalFailed {
		t.Errorf("%s %s", r.Indication, r.SubIndication)
	}
}

// Certification attacks (Rohlmann et al., 2021): a certification says what may follow.
func TestCertification(t *testing.T) {
	for permissions, want := range map[int]map[string]bool{
		1: {"annotation": true, "filled": true, "signed": true},
		2: {"annotation": true, "filled": false, "signed": false},
		3: {"annotation": false, "filled": false, "signed": false},
	} {
		t.Run(fmt.Sprint("P ", permissions), func(t *testing.T) {
			doc := certify(t, form(), permissions)
			// The first revision's own objects are known; the signature's are behind them.
			annotated := file(doc, 1, object{9, keepSignature(t, doc, object{9, "[7 0 R 8 0 R 50 0 R]"})},
				object{50, "<</Type/Annot/Subtype/Stamp/Rect[0 0 595 842]>>"})
			filled := file(doc, 1, object{7, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nome)/V(Anna)/Rect[72 600 300 620]/P 3 0 R/AP<</N 11 0 R>>>>"})
			for name, d := range map[string][]byte{"annotation": annotated, "filled": filled} {
				f, r := judged(t, d)
				if f.PDF.Permissions != permissions {
					t.Fatalf("%s: permissions %d", name, f.PDF.Permissions)
				}
				if failed := r.SubIndication == validation.FormatFailure; failed != want[name] {
					t.Errorf("%s: %s %s %+v", name, r.Indication, r.SubIndication, f.PDF.Changes)
				}
			}
			var out bytes.Buffer
			err := pades.Sign(t.Context(), signer(id(t)), pades.PrepareOptions{}, bytes.NewReader(doc), int64(len(doc)), &out)
			if (err != nil) != want["signed"] {
				t.Errorf("a second signature: %v", err)
			}
			if err == nil {
				if _, r := judged(t, out.Bytes()); r.SubIndication == validation.FormatFailure {
					t.Errorf("a second signature broke the first: %+v", r.Findings)
				}
			}
		})
	}
}

// certify signs with a DocMDP transform, which is written over a reason of its length.
func certify(t *testing.T, doc []byte, permissions int) []byte {
	t.Helper()
	reference := fmt.Sprintf("/Reference[<</TransformMethod/DocMDP/TransformParams<</P %d>>>>]", permissions)
	reason := strings.Repeat("x", len(reference))
	p, err := pades.Prepare(bytes.NewReader(doc), int64(len(doc)), pades.PrepareOptions{Reason: reason})
	if err != nil {
		t.Fatal(err)
	}
	old := fmt.Appendf(nil, "/Reason <%x>", reason)
	p.Increment = bytes.Replace(p.Increment, old, fmt.Appendf(nil, "%-*s", len(old), reference), 1)
	var out bytes.Buffer
	if err := pades.Complete(t.Context(), signer(id(t)), p, bytes.NewReader(doc), int64(len(doc)), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A field that the signature locked is filled in.
func TestLockedField(t *testing.T) {
	signed := sign(t, form(), signer(id(t)), pades.PrepareOptions{Field: "firma"})
	refused(t, file(signed, 1, object{7, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nome)/V(Anna)/Rect[72 600 300 620]/P 3 0 R/AP<</N 11 0 R>>>>"}), validation.FormatFailure)
}

func TestPreparedIsNotBelieved(t *testing.T) {
	doc := plain()
	for name, spoil := range map[string]func(*pades.Prepared){
		"room outside":   func(p *pades.Prepared) { p.To = len(p.Increment) + 1 },
		"negative":       func(p *pades.Prepared) { p.From = -1 },
		"no room":        func(p *pades.Prepared) { p.From = p.To },
		"room elsewhere": func(p *pades.Prepared) { p.From, p.To = p.From+2, p.To+2 },
		"not zeros":      func(p *pades.Prepared) { p.Increment[p.From+1] = '1' },
		"another range":  func(p *pades.Prepared) { p.Increment = append(p.Increment, ' ') },
	} {
		p, err := pades.Prepare(bytes.NewReader(doc), int64(len(doc)), pades.PrepareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		spoil(p)
		var out bytes.Buffer
		if err := pades.Complete(t.Context(), signer(id(t)), p, bytes.NewReader(doc), int64(len(doc)), &out); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

// signRanges signs with a ByteRange of the attacker's: widen bytes before the value are
// left out too.
func signRanges(t *testing.T, doc []byte, widen int) []byte {
	t.Helper()
	size := len(doc)
	p, err := pades.Prepare(bytes.NewReader(doc), int64(size), pades.PrepareOptions{Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	whole := append(bytes.Clone(doc), p.Increment...)
	from, to := size+p.From, size+p.To
	own := byteRange.Find(p.Increment)
	other := fmt.Appendf(nil, "/ByteRange [0 %d %d %d]", from-widen, to, len(whole)-to)
	whole = bytes.Replace(whole, own, fmt.Appendf(nil, "%-*s", len(own), other), 1)
	content := slices.Concat(whole[:from-widen], whole[to:])
	o := signer(id(t)).SignOptions
	o.Detached = true
	var value bytes.Buffer
	if err := cades.Sign(t.Context(), o, bytes.NewReader(content), -1, &value); err != nil {
		t.Fatal(err)
	}
	copy(whole[from+1:], fmt.Appendf(nil, "%x", value.Bytes()))
	return whole
}

// The gap is exactly the value, and nothing else may hide in it.
func TestGapIsTheValue(t *testing.T) {
	f, r := judged(t, signRanges(t, plain(), 0))
	if r.Indication == validation.TotalFailed {
		t.Fatalf("%s %s %+v", r.Indication, r.SubIndication, f.Faults)
	}
	f, r = judged(t, signRanges(t, plain(), 10))
	if !f.Attribute.DigestMatch || r.Indication != validation.TotalFailed || r.SubIndication != validation.FormatFailure {
		t.Errorf("%s %s %+v", r.Indication, r.SubIndication, f.Faults)
	}
}

// What is signed ends where a revision of the file ends, not before its trailer.
func TestRangeEndsARevision(t *testing.T) {
	doc := plain()
	signed := sign(t, doc, signer(id(t)), pades.PrepareOptions{})
	m := byteRange.FindSubmatch(signed)
	var a, b, c int
	if _, err := fmt.Sscan(string(m[1])+" "+string(m[2])+" "+string(m[3]), &a, &b, &c); err != nil {
		t.Fatal(err)
	}
	short := fmt.Appendf(nil, "/ByteRange [0 %d %d %d]", a, b, c-30)
	refused(t, bytes.Replace(signed, m[0], fmt.Appendf(nil, "%-*s", len(m[0]), short), 1), validation.FormatFailure)
}

// valueObject is the signature's dictionary in a signed file, with its number.
func valueObject(t *testing.T, signed []byte) (num int, body string) {
	t.Helper()
	at := bytes.LastIndex(signed, []byte("/ByteRange"))
	from := bytes.LastIndex(signed[:at], []byte(" 0 obj"))
	start := bytes.LastIndexByte(signed[:from], '\n') + 1
	end := bytes.Index(signed[at:], []byte("\nendobj")) + at
	if _, err := fmt.Sscan(string(signed[start:from]), &num); err != nil {
		t.Fatal(err)
	}
	return num, string(signed[from+len(" 0 obj\n") : end])
}

// A second field has the first one's value: once as the same object, once as a copy.
func TestTwoSignaturesOfOneValue(t *testing.T) {
	signed := sign(t, form(), signer(id(t)), pades.PrepareOptions{Field: "firma"})
	num, body := valueObject(t, signed)
	field := "<</Type/Annot/Subtype/Widget/FT/Sig/T(altra)/Rect[0 0 0 0]/P 3 0 R/V %d 0 R>>"
	list := object{6, "<</Fields[7 0 R 8 0 R 60 0 R]/SigFlags 3/DA(/F1 12 Tf 0 g)/DR<</Font<</F1 5 0 R>>>>>>"}
	same := read(t, file(signed, 1, list, object{60, fmt.Sprintf(field, num)}))
	if len(same) != 1 {
		t.Errorf("the same object: %d signatures", len(same))
	}
	copied := read(t, file(signed, 1, list, object{60, fmt.Sprintf(field, 61)}, object{61, body}))
	if len(copied) != 2 {
		t.Fatalf("a copy: %d signatures", len(copied))
	}
	n := 0
	for _, f := range copied {
		if r := validation.Judge(f, validation.Default()); r.Indication == validation.TotalFailed && r.SubIndication == validation.FormatFailure {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of them are refused", n)
	}
}

// Readers differ on which of two equal keys counts, and on values that stand elsewhere.
func TestSignatureDictionaries(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{})
	num, body := valueObject(t, signed)
	head, value, _ := strings.Cut(strings.TrimSuffix(body, ">>"), "/Contents ")
	for name, other := range map[string]string{
		"two Contents":       strings.Replace(body, "/Contents ", "/Contents <30>/Contents ", 1),
		"two ByteRanges":     strings.Replace(body, "/ByteRange ", "/ByteRange [0 1 2 3]/ByteRange ", 1),
		"Contents elsewhere": head + "/Contents 70 0 R>>",
		"nested":             "<</Type/Sig/SubFilter/ETSI.CAdES.detached/Inner " + body + "/ByteRange[0 1 2 3]/Contents<3000>>>",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, file(signed, 1, object{num, other}, object{70, value}), validation.FormatFailure)
		})
	}
}

// Objects behind the file's end, with nothing that names them.
func TestObjectsBehindTheEnd(t *testing.T) {
	signed := sign(t, plain(), signer(id(t)), pades.PrepareOptions{})
	for name, padding := range map[string]int{"few bytes": 0, "more than readers search for startxref": 8 << 10} {
		t.Run(name, func(t *testing.T) {
			more := "\n4 0 obj\n" + stream("", "BT /F1 24 Tf 72 720 Td (Altro) Tj ET "+strings.Repeat(" ", padding)) + "\nendobj\n"
			refused(t, append(bytes.Clone(signed), more...), validation.FormatFailure)
		})
	}
}

// Sneaky signature (Rohlmann et al., 2021): a certified document gets a signature field
// whose picture lies over the content.
func TestSneakySignature(t *testing.T) {
	doc := certify(t, form(), 2)
	body := "<</Type/Annot/Subtype/Widget/FT/Sig/T(altra)/Rect[%s]/P 3 0 R/AP<</N 11 0 R>>>>"
	for rect, want := range map[string]struct{ warned, failed bool }{
		"0 0 0 0":         {false, false},
		"300 100 400 200": {true, false}, // beside the annotations
		"0 0 595 842":     {true, true},  // over them
	} {
		at := bytes.LastIndex(doc, []byte("\n6 0 obj\n"))
		end := bytes.Index(doc[at:], []byte("\nendobj")) + at
		list := strings.Replace(string(doc[at+9:end]), "/Fields [", "/Fields [60 0 R ", 1)
		d := file(doc, 1, object{6, list}, object{9, keepSignature(t, doc, object{9, "[7 0 R 8 0 R 60 0 R]"})}, object{60, fmt.Sprintf(body, rect)})
		f, r := judged(t, d)
		if r.Has("pdf-changed") != want.warned || (r.Indication == validation.TotalFailed) != want.failed {
			t.Errorf("%s: %s %s %+v", rect, r.Indication, r.SubIndication, f.PDF.Changes)
		}
	}
}
