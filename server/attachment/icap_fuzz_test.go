package attachment

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"unicode"
)

// Whatever a scanner answers, a file is called clean only by one of the two answers that
// say so, and what it found is something that can be shown.
func FuzzScannersAnswer(f *testing.F) {
	body := "Encapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	for _, s := range []string{
		"ICAP/1.0 204 No modifications\r\n\r\n", "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Threat=Eicar-Test-Signature;\r\n\r\n", "ICAP/1.0 200 OK\r\n" + body + "1\r\nx\r\n0\r\n\r\n",
		"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0\r\n\r\n", "ICAP/1.0 500 x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Add([]byte("ICAP/1.0 204 x\r\nX-Virus-ID: \xe8\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnswer(bufio.NewReader(io.LimitReader(bytes.NewReader(data), 64<<10)))
		if err != nil {
			return
		}
		var v Verdict
		if a.done() {
			v, err = a.verdict()
		} else {
			v, err = a.same(nil)
		}
		if err != nil {
			return
		}
		if v.Clean && a.code != 204 {
			t.Fatalf("clean by %d", a.code) // no body has that hash
		}
		if v.Clean == (v.Threat != "") {
			t.Fatalf("%+v", v)
		}
		for _, r := range v.Threat {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q", v.Threat)
			}
		}
	})
}
