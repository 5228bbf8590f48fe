package attachment_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/attachment"
)

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// A real ICAP server takes what we say. Its echo service changes nothing: the file is clean.
func TestICAPServer(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "c-icap.conf")
	text := fmt.Sprintf("PidFile %[1]s/pid\nCommandsSocket %[1]s/ctl\nTimeout 30\nMaxServers 1\nStartServers 1\nThreadsPerChild 4\nPort 127.0.0.1:%[2]s\n"+
		"TmpDir %[1]s\nServerLog %[1]s/server.log\nAccessLog %[1]s/access.log\nModulesDir /usr/lib/x86_64-linux-gnu/c_icap\nServicesDir /usr/lib/x86_64-linux-gnu/c_icap\n"+
		"LoadMagicFile /etc/c-icap/c-icap.magic\nService echo srv_echo.so\n", dir, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("c-icap", "-N", "-f", conf)
	if err := c.Start(); err != nil {
		t.Fatalf("%v (make deps)", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_, _ = c.Process.Wait()
	})
	s, err := attachment.NewICAP("icap://127.0.0.1:" + port + "/echo")
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout = time.Minute
	for _, data := range [][]byte{document("", ""), bytes.Repeat([]byte("0123456789"), 300_000), {}} {
		var v attachment.Verdict
		for range 1200 { // until it listens
			if v, err = s.Scan(t.Context(), bytes.NewReader(data), int64(len(data))); err == nil || !strings.Contains(err.Error(), "refused") {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil || !v.Clean {
			log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
			t.Fatalf("%d bytes: %+v %v\n%s", len(data), v, err, log)
		}
	}
	s, err = attachment.NewICAP("icap://127.0.0.1:" + port + "/nosuch")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Scan(t.Context(), strings.NewReader("a"), 1); !errors.Is(err, attachment.ErrScanner) || v.Clean {
		t.Errorf("a service that is not there: %+v %v", v, err)
	}
}

// server answers each connection by what it was sent.
func server(t *testing.T, answer func(body []byte) string) *attachment.ICAP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				lines := textproto.NewReader(r)
				if line, err := lines.ReadLine(); err != nil || !strings.HasPrefix(line, "RESPMOD icap://") {
					return
				}
				for range 3 { // ICAP's headers, the request's, the answer's
					if h, err := lines.ReadMIMEHeader(); err != nil && len(h) == 0 {
						return
					}
					_, _ = lines.R.Peek(1)
					if b, _ := r.Peek(4); string(b) == "GET " || string(b) == "HTTP" {
						_, _ = lines.ReadLine()
					}
				}
				body, err := io.ReadAll(httputil.NewChunkedReader(r))
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, answer(body))
			}()
		}
	}()
	s, err := attachment.NewICAP("icap://" + l.Addr().String() + "/scan")
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout = time.Minute
	return s
}

func TestICAPVerdicts(t *testing.T) {
	const back = "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	for name, c := range map[string]struct {
		answer string
		clean  bool
		threat string
		fails  bool
	}{
		"clean":              {answer: "ICAP/1.0 204 No Content\r\n\r\n", clean: true},
		"given back":         {answer: back + "4\r\nfile\r\n0\r\n\r\n", clean: true},
		"changed":            {answer: back + "4\r\nfale\r\n0\r\n\r\n", threat: "changed by the scanner"},
		"found":              {answer: "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Threat=Eicar;\r\n\r\n", threat: "Type=0; Threat=Eicar;"},
		"found though 204":   {answer: "ICAP/1.0 204 OK\r\nX-Virus-ID: Eicar\r\n\r\n", threat: "Eicar"},
		"blocked":            {answer: "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=26\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", threat: "blocked, HTTP 403"},
		"error":              {answer: "ICAP/1.0 500 Server error\r\n\r\n", fails: true},
		"overloaded":         {answer: "ICAP/1.0 503 Service overloaded\r\n\r\n", fails: true},
		"another protocol":   {answer: "HTTP/1.1 200 OK\r\n\r\n", fails: true},
		"nothing":            {answer: "", fails: true},
		"half of it":         {answer: back + "4\r\nfi", fails: true},
		"a request in it":    {answer: "ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=9\r\n\r\nGET / HTTP/1.1\r\n\r\n", fails: true},
		"control characters": {answer: "ICAP/1.0 200 OK\r\nX-Virus-ID: a\x07b\r\n\r\n", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, func([]byte) string { return c.answer })
			v, err := s.Scan(t.Context(), strings.NewReader("file"), 4)
			if v.Clean != c.clean || v.Threat != c.threat || errors.Is(err, attachment.ErrScanner) != c.fails {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	if v, err := server(t, func([]byte) string { return "ICAP/1.0 204 OK\r\n\r\n" }).Scan(t.Context(), strings.NewReader("short"), 9); v.Clean || err == nil {
		t.Errorf("a file that is shorter than it says: %+v, %v", v, err)
	}
}

func TestICAPAddress(t *testing.T) {
	for _, bad := range []string{"", "http://127.0.0.1/a", "icap://127.0.0.1", "icap:///a", "icap://a:b@127.0.0.1/a"} {
		if _, err := attachment.NewICAP(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
