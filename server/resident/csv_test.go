package resident_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/testdata/pki"
)

const head = "codice_fiscale;cognome;nome;sesso;data_nascita;luogo_nascita;indirizzo;cap;cittadinanza;stato_civile;codice_famiglia;relazione;residente_dal"

// line is an invented person's; fields are overwritten by column.
func line(n int, with ...string) string {
	c := pki.Invented(n)
	f := map[string]string{"codice_fiscale": c.CF, "cognome": c.Surname, "nome": c.Given, "sesso": "F", "data_nascita": c.Born.Format("02/01/2006"), "luogo_nascita": "Pisa", "indirizzo": fmt.Sprintf("Via Prova %d", n),
		"cap": "56100", "cittadinanza": "italiana", "stato_civile": "Nubile", "codice_famiglia": fmt.Sprintf("F%d", n/3), "relazione": "Intestataria", "residente_dal": "01/02/2003"}
	if resident.Male(c.CF) {
		f["sesso"], f["stato_civile"], f["relazione"] = "M", "celibe", "Intestatario"
	}
	if n >= 1000 { // there are not as many invented people: a provisional code
		f["codice_fiscale"] = provisional(n)
	}
	for i := 0; i+1 < len(with); i += 2 {
		f[with[i]] = with[i+1]
	}
	var out []string
	for _, c := range strings.Split(head, ";") {
		out = append(out, f[c])
	}
	return strings.Join(out, ";")
}

// provisional is a code of eleven digits.
func provisional(n int) string {
	body, sum := fmt.Sprintf("%010d", n), 0
	for i, r := range body {
		x := int(r - '0')
		if i%2 == 1 {
			if x *= 2; x > 9 {
				x -= 9
			}
		}
		sum += x
	}
	return body + fmt.Sprint((10-sum%10)%10)
}

func file(lines ...string) []byte { return []byte(head + "\n" + strings.Join(lines, "\n") + "\n") }

func problems(t *testing.T, data []byte) (out []string, rows int) {
	t.Helper()
	lines, _, whole, err := resident.ReadAll(data, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if whole != nil {
		return []string{fmt.Sprintf("file %d %s %s", whole.Line, whole.Column, whole.Code)}, 0
	}
	for _, l := range lines {
		for _, p := range l.Problems {
			kind := "bad"
			if p.Notice {
				kind = "notice"
			}
			out = append(out, fmt.Sprintf("%s %d %s %s", kind, p.Line, p.Column, p.Code))
		}
	}
	return out, len(lines)
}

// Each wrong thing is told with its line and column.
func TestProblems(t *testing.T) {
	good := line(1)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"good":             {file(good, line(2)), ""},
		"comma":            {bytes.ReplaceAll(file(good), []byte(";"), []byte(",")), ""},
		"byte order mark":  {append([]byte("\ufeff"), file(good)...), ""},
		"lines of Windows": {bytes.ReplaceAll(file(good), []byte("\n"), []byte("\r\n")), ""},
		"heads otherwise":  {bytes.Replace(file(good), []byte("codice_fiscale;cognome"), []byte("Codice Fiscale;COGNOME"), 1), ""},
		"quoted":           {file(line(1, "indirizzo", "\"Via Prova; 1\nscala B\""), line(2, "cap", "x")), "bad 4 cap cap"},
		"code":             {file(line(1, "codice_fiscale", "XXXXXX00X00X000X")), "bad 2 codice_fiscale code"},
		"no code":          {file(good, line(2, "codice_fiscale", "")), "bad 3 codice_fiscale required"},
		"date":             {file(line(1, "data_nascita", "31/02/1980")), "bad 2 data_nascita date"},
		"to come":          {file(line(1, "residente_dal", "01/01/2999")), "bad 2 residente_dal date-range"},
		"civil":            {file(line(1, "stato_civile", "boh")), "bad 2 stato_civile civil"},
		"sex":              {file(line(1, "sesso", "x")), "bad 2 sesso sex"},
		"long":             {file(line(1, "cognome", strings.Repeat("a", 81))), "bad 2 cognome long"},
		"twice":            {file(good, good), "bad 3 codice_fiscale twice"},
		"too few":          {file(good, "a;b"), "bad 3  fields"},
		"quotes":           {file("\"a\"b;c", line(2)), "bad 2  quotes"},
		"two in a line":    {file(line(1, "cap", "1", "sesso", "z")), "bad 2 sesso sex|bad 2 cap cap"},
		"odd birth":        {file(line(1, "data_nascita", "01/01/1911")), "notice 2 data_nascita odd-born"},
		"empty":            {nil, "file 1  empty"},
		"no column":        {[]byte("cognome;nome\na;b\n"), "file 1 codice_fiscale column-missing"},
		"column twice":     {[]byte(head + ";cap\n"), "file 1 cap column-twice"},
		"UTF-16":           {[]byte{0xff, 0xfe, 'c', 0}, "file 1  utf16"},
		"a workbook":       {[]byte("PK\x03\x04...."), "file 1  sheet"},
		"NUL":              {file(good, "a\x00b"), "file 3  binary"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := problems(t, c.data)
			if strings.Join(got, "|") != c.want {
				t.Errorf("%q, not %q", strings.Join(got, "|"), c.want)
			}
		})
	}
}

// What is not UTF-8 is Windows-1252, wherever in the file it shows; a character that lies
// over the border of two pieces does not make it so.
func TestEncodings(t *testing.T) {
	utf := file(line(1, "cognome", "D’Àlò", "data_nascita", "01/02/1980"))
	win, err := charmap.Windows1252.NewEncoder().Bytes(utf)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"UTF-8": utf, "Windows-1252": win} {
		lines, _, whole, err := resident.ReadAll(data, time.Now())
		if err != nil || whole != nil || len(lines) != 1 || lines[0].Data.Family != "D’Àlò" {
			t.Errorf("%s: %v %v %+v", name, err, whole, lines)
		}
	}
	for pad := range 5 {
		long := []byte(head + ";note\n" + line(1) + ";" + strings.Repeat("x", 64<<10-len(head)-len(line(1))-9+pad) + "èèèè\n" + line(2, "cognome", "Però") + ";\n")
		lines, ignored, _, err := resident.ReadAll(long, time.Now())
		if err != nil || len(lines) != 2 || lines[1].Data.Family != "Però" || len(ignored) != 1 || ignored[0] != "note" {
			t.Errorf("%d: %v %d %v", pad, err, len(lines), ignored)
		}
	}
}

func TestRowLimit(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(head + "\n")
	for range resident.MaxRows + 1 {
		b.WriteString(";\n")
	}
	if got, _ := problems(t, b.Bytes()); len(got) != 1 || !strings.HasSuffix(got[0], " rows") {
		t.Error(len(got), got[0])
	}
}

func FuzzFile(f *testing.F) {
	f.Add(file(line(1), line(2)))
	f.Add([]byte("\xef\xbb\xbf" + head + "\r\n\"a;b"))
	f.Add([]byte{0xff, 0xfe})
	f.Add(file(line(1, "indirizzo", "\"Via \xe8\"")))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, _, whole, err := resident.ReadAll(data, now)
		if err != nil {
			t.Fatal(err) // whatever a file holds, it is told as a problem
		}
		most := bytes.Count(data, []byte("\n")) + 1
		last, seen := 0, map[string]bool{}
		for _, l := range lines {
			if l.Line <= last || l.Line > most {
				t.Fatalf("line %d after %d of %d", l.Line, last, most)
			}
			last = l.Line
			if l.IsBad() {
				continue
			}
			// What is taken fits its limits, and is taken again as it is.
			if seen[l.Data.Code] {
				t.Fatal("a code twice")
			}
			seen[l.Data.Code] = true
			for _, c := range resident.Columns {
				v := l.Data.Get(c.Field)
				if c.Required && v == "" || len([]rune(v)) > c.Max {
					t.Fatalf("%s: %q", c.Field, v)
				}
				if again, code := resident.Check(c, v, now); v != "" && (again != v || code != "") {
					t.Fatalf("%s: %q becomes %q (%s)", c.Field, v, again, code)
				}
			}
		}
		if whole != nil && (whole.Line < 1 || whole.Line > most) {
			t.Fatalf("%+v of %d lines", whole, most)
		}
	})
}

// The parser against encoding/csv that reads the same and checks nothing.
func BenchmarkFile(b *testing.B) {
	var all []string
	for n := range 50_000 {
		all = append(all, line(1000+n))
	}
	data := file(all...)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			lines, _, _, err := resident.ReadAll(data, time.Now())
			if err != nil || len(lines) != len(all) {
				b.Fatal(err, len(lines))
			}
		}
	})
	b.Run("encoding-csv", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			r := csv.NewReader(bytes.NewReader(data))
			r.Comma, r.ReuseRecord = ';', true
			for {
				if _, err := r.Read(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
