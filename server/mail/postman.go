package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/store"
)

// Postman sends what is in the outbox. Several processes may have one each.
type Postman struct {
	Store *store.Store
	Enti  *ente.Directory
	// Origin is the server's, for enti that have none of their own: links begin with it.
	Origin string
	// Main is the ente that has the server's origin for itself.
	Main string
	Log  *slog.Logger
	Now  func() time.Time
	// TLS is for servers whose certificate no public authority has issued.
	TLS *tls.Config
}

func (p *Postman) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// PermanentError is one that another try does not mend.
type PermanentError struct{ Err error }

// Error is the cause's.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// Run sends until the context ends.
func (p *Postman) Run(ctx context.Context) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		if err := p.Deliver(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("the outbox could not be worked", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Deliver sends everything that is due now.
func (p *Postman) Deliver(ctx context.Context) error {
	for {
		batch, err := p.take(ctx)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, q := range batch {
			failure := p.send(ctx, q)
			switch {
			case errors.Is(failure, ente.ErrNoMail):
				p.Log.Debug("no mail is set up", "ente", q.Ente, "kind", string(q.Kind))
			case failure != nil:
				p.Log.Warn("a message was not sent", "ente", q.Ente, "kind", string(q.Kind), "try", q.tries+1, "error", failure)
			}
			if err := p.done(context.WithoutCancel(ctx), q, failure); err != nil {
				return err
			}
		}
	}
}

func (p *Postman) send(ctx context.Context, q queued) error {
	e, err := p.Enti.Get(ctx, q.Ente)
	if err != nil {
		return err
	}
	settings, err := p.Enti.Mail(ctx, q.Ente)
	if err != nil {
		return err // set up later: it waits
	}
	text, err := p.compose(e, settings, q)
	if err != nil {
		return &PermanentError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, lease/2)
	defer cancel()
	err = p.hand(ctx, settings, q.To, text)
	var said *textproto.Error
	// RFC 5321, 4.2.1: a reply of 5yz is for good. Not one that is about us (530, 535).
	if errors.As(err, &said) && said.Code >= 550 && said.Code < 560 {
		return &PermanentError{err}
	}
	return err
}

// What the paths of pages begin with: the portal's pages of an ente that shares the server's
// origin, and the console, which is one for all.
const (
	entePath    = "/enti/"
	consolePath = "/consolleente/"
)

// link is where a path of an ente's pages is.
func (p *Postman) link(e *ente.Ente, path string) string {
	switch {
	case e.Code == p.Main:
		return p.Origin + path
	case e.Origin != "" && e.Origin != p.Origin:
		return e.Origin + path
	case strings.HasPrefix(path, consolePath):
		return p.Origin + path
	}
	return p.Origin + entePath + e.Code + path
}

// compose writes the message (RFC 5322): Italian, then English.
func (p *Postman) compose(e *ente.Ente, s *ente.Mail, q queued) ([]byte, error) {
	to, err := mail.ParseAddress(q.To)
	if err != nil {
		return nil, err
	}
	link := ""
	if q.Link != "" {
		link = p.link(e, q.Link)
	}
	args := []any{"ente", e.Name, "number", q.Number, "link", link}
	subject := message.Text(message.Italian, "mail."+string(q.Kind)+"-subject", args...)
	body := message.Text(message.Italian, "mail."+string(q.Kind)+"-text", args...) + "\n\n" +
		message.Text(message.Italian, "mail.end", args...) + "\n\n--\n" + message.Text(message.English, "mail."+string(q.Kind)+"-text", args...) + "\n\n" +
		message.Text(message.English, "mail.end", args...) + "\n"
	from := mail.Address{Name: s.FromName, Address: s.From}
	if from.Name == "" {
		from.Name = e.Name
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	_, domain, _ := strings.Cut(s.From, "@")
	var b strings.Builder
	for _, h := range [][2]string{
		{"From", from.String()}, {"To", (&mail.Address{Address: to.Address}).String()}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", p.now().Format(time.RFC1123Z)}, {"Message-ID", "<" + hex.EncodeToString(id[:]) + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834, 5
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "base64"},
	} {
		if strings.ContainsAny(h[1], "\r\n") {
			return nil, fmt.Errorf("mail: a line break in %s", h[0])
		}
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString([]byte(body))
	for len(text) > 0 { // RFC 2045, 6.8: lines of 76 characters
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return []byte(b.String()), nil
}

// hand gives a message to the ente's mail server. With starttls the server must offer
// it: what asks for TLS never goes without.
func (p *Postman) hand(ctx context.Context, s *ente.Mail, to string, text []byte) (err error) {
	host, _, err := net.SplitHostPort(s.Host)
	if err != nil {
		return err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.TLS != nil {
		secure = p.TLS.Clone()
	}
	secure.ServerName = host
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.Host)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	if s.Security == "tls" {
		c = tls.Client(c, secure)
	}
	client, err := smtp.NewClient(c, host)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	defer func() {
		if err != nil {
			_ = client.Close()
		}
	}()
	if s.Security == "starttls" {
		if err := client.StartTLS(secure); err != nil {
			return err
		}
	}
	if s.Username != "" {
		if err := client.Auth(smtp.PlainAuth("", s.Username, s.Password, host)); err != nil {
			return err
		}
	}
	if err := client.Mail(s.From); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	_ = client.Quit() // it has the message
	return nil
}
