// Package smtp is a mail server for tests: it takes messages on loopback (RFC 5321), with
// STARTTLS or TLS from the first byte, asks for a password where it is told to, and can be
// made to refuse. It sends nothing on.
package smtp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// Message is one that came in.
type Message struct {
	From, To  string
	Encrypted bool
	User      string // who logged in
	Subject   string
	Body      string
	Header    mail.Header
}

// Server takes messages.
type Server struct {
	Address string // host:port
	// Roots trust the server's certificate.
	Roots *x509.CertPool

	config   *tls.Config
	implicit bool
	listener net.Listener

	mu       sync.Mutex
	messages []Message
	refuse   map[string]string // command -> reply
	noTLS    bool
}

// Start makes a server that ends with the test.
func Start(t testing.TB, implicitTLS bool) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: l.Addr().String(), implicit: implicitTLS, listener: l, refuse: map[string]string{}}
	if err := s.certificate(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				s.serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func (s *Server) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(cert)
	s.config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return nil
}

// Refuse answers a command ("RCPT", "DATA", "AUTH"...) with a reply such as "451 later";
// an empty one takes it back.
func (s *Server) Refuse(command, reply string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[command] = reply
}

// NoTLS makes the server offer no STARTTLS.
func (s *Server) NoTLS() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noTLS = true
}

// Messages are those that came in.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

func (s *Server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	m := Message{}
	if s.implicit {
		c, m.Encrypted = tls.Server(c, s.config), true
	}
	r := bufio.NewReader(c)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\r\n", args...) }
	say("220 test ready")
	for {
		line, err := r.ReadString('\n')
		if err != nil || len(line) > 2000 {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		s.mu.Lock()
		reply, plain := s.refuse[verb], s.noTLS
		s.mu.Unlock()
		if reply != "" {
			say("%s", reply)
			continue
		}
		switch verb {
		case "EHLO", "HELO":
			if !m.Encrypted && !plain {
				say("250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN")
			} else {
				say("250-test\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			if plain {
				say("502 not here")
				continue
			}
			say("220 go ahead")
			c = tls.Server(c, s.config)
			r = bufio.NewReader(c)
			m = Message{Encrypted: true}
		case "AUTH":
			raw, _ := base64.StdEncoding.DecodeString(line[strings.LastIndex(line, " ")+1:])
			m.User = strings.ReplaceAll(string(raw), "\x00", "|")
			say("235 welcome")
		case "MAIL":
			m.From = address(line)
			say("250 ok")
		case "RCPT":
			m.To = address(line)
			say("250 ok")
		case "DATA":
			say("354 send")
			s.take(r, m)
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func address(line string) string {
	a, b := strings.IndexByte(line, '<'), strings.IndexByte(line, '>')
	if a < 0 || b < a {
		return ""
	}
	return line[a+1 : b]
}

func (s *Server) take(r *bufio.Reader, m Message) {
	var text strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
	if parsed, err := mail.ReadMessage(strings.NewReader(text.String())); err == nil {
		m.Header = parsed.Header
		m.Subject, _ = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		body, _ := io.ReadAll(parsed.Body)
		if parsed.Header.Get("Content-Transfer-Encoding") == "base64" {
			body, _ = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
		}
		m.Body = string(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}
