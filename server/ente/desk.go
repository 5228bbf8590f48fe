package ente

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Office of an ente, as the portal shows it.
type Office struct {
	ID                                 int64 // 0 makes a new one
	Name, Address, Phone, Email, Hours string
	Place                              int // order
}

// Offices in their order.
func (d *Directory) Offices(ctx context.Context, ente string) ([]Office, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT id, name, address, phone, email, hours, place FROM ente_office WHERE ente = ? ORDER BY place, name", ente)
	return store.All(rows, err, func(row store.Row) (Office, error) {
		var o Office
		if err := row.Scan(&o.ID, &o.Name, &o.Address, &o.Phone, &o.Email, &o.Hours, &o.Place); err != nil {
			return o, fmt.Errorf("ente: %w", err)
		}
		return o, nil
	})
}

// SaveOffice makes or changes an office of the operator's ente.
func (d *Directory) SaveOffice(ctx context.Context, a role.Actor, ente string, o Office) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if o.Name = strings.TrimSpace(o.Name); o.Name == "" || len(o.Name) > 100 || len(o.Address)+len(o.Phone)+len(o.Email)+len(o.Hours) > 1000 {
		return invalid("an office needs a name, and at most 1000 characters in all")
	}
	if o.Email != "" {
		if x, err := mail.ParseAddress(o.Email); err != nil || x.Address != o.Email {
			return invalid("%q is no e-mail address", o.Email)
		}
	}
	if o.ID == 0 {
		return d.change(ctx, a, ente, map[string]string{"office": o.Name}, "INSERT INTO ente_office (ente, name, address, phone, email, hours, place) VALUES (?,?,?,?,?,?,?)",
			ente, o.Name, o.Address, o.Phone, o.Email, o.Hours, o.Place)
	}
	return d.change(ctx, a, ente, map[string]string{"office": o.Name}, "UPDATE ente_office SET name = ?, address = ?, phone = ?, email = ?, hours = ?, place = ? WHERE id = ? AND ente = ?",
		o.Name, o.Address, o.Phone, o.Email, o.Hours, o.Place, o.ID, ente)
}

// DeleteOffice takes one away.
func (d *Directory) DeleteOffice(ctx context.Context, a role.Actor, ente string, id int64) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	return d.change(ctx, a, ente, map[string]string{"office-deleted": fmt.Sprint(id)}, "DELETE FROM ente_office WHERE id = ? AND ente = ?", id, ente)
}

// Closed is a day on which an ente is closed.
type Closed struct {
	Day    time.Time // midnight, UTC
	Reason string
}

// Calendar lists the days from a day on.
func (d *Directory) Calendar(ctx context.Context, ente string, from time.Time) ([]Closed, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT day, reason FROM ente_closed WHERE ente = ? AND day >= ? ORDER BY day LIMIT 1000", ente, from.Format(time.DateOnly))
	return store.All(rows, err, func(row store.Row) (Closed, error) {
		var day string
		var c Closed
		if err := row.Scan(&day, &c.Reason); err != nil {
			return c, fmt.Errorf("ente: %w", err)
		}
		if c.Day, err = time.Parse(time.DateOnly, day); err != nil {
			return c, fmt.Errorf("ente: %w", err)
		}
		return c, nil
	})
}

// SetClosed marks a day as closed; an empty reason opens it again.
func (d *Directory) SetClosed(ctx context.Context, a role.Actor, ente string, day time.Time, reason string) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); len(reason) > 200 {
		return invalid("the reason is longer than 200 characters")
	}
	text := day.Format(time.DateOnly)
	q, args := "DELETE FROM ente_closed WHERE ente = ? AND day = ?", []any{ente, text}
	if reason != "" {
		q, args = "INSERT INTO ente_closed (ente, day, reason) VALUES (?,?,?) ON CONFLICT (ente, day) DO UPDATE SET reason = excluded.reason", append(args, reason)
	}
	return d.change(ctx, a, ente, map[string]string{"closed": text, "reason": reason}, q, args...)
}

// Mail is how an ente sends mail.
type Mail struct {
	From     string `json:"from"`     // address
	FromName string `json:"fromName"` //
	Host     string `json:"host"`     // host:port
	// Security is "starttls" (required, not only tried), "tls", or "none", which is for
	// loopback alone.
	Security string `json:"security"`
	Username string `json:"username,omitempty"`
	Password string `json:"-"`
	Sealed   []byte `json:"password,omitempty"`
}

// ErrNoMail means that the ente has no mail.
var ErrNoMail = errors.New("ente: no mail is set up")

// Mail reads the settings, with the password.
func (d *Directory) Mail(ctx context.Context, ente string) (*Mail, error) {
	var text string
	err := d.Store.QueryRowContext(ctx, "SELECT mail FROM ente WHERE code = ?", ente).Scan(&text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("ente: %w", err)
	case text == "":
		return nil, ErrNoMail
	}
	var m Mail
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	if len(m.Sealed) > 0 {
		p, err := d.Keys.Decrypt(keys.PurposeMail, m.Sealed)
		if err != nil {
			return nil, fmt.Errorf("ente: %w", err)
		}
		m.Password = string(p)
	}
	return &m, nil
}

// SetMail keeps the settings; an empty password keeps the old one.
func (d *Directory) SetMail(ctx context.Context, a role.Actor, ente string, m Mail) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if x, err := mail.ParseAddress(m.From); err != nil || x.Address != m.From {
		return invalid("%q is no e-mail address", m.From)
	}
	if strings.ContainsAny(m.FromName+m.Host+m.Username, "\r\n\x00") || !strings.Contains(m.Host, ":") {
		return invalid("the mail server is written as host:port")
	}
	switch m.Security {
	case "starttls", "tls":
	case "none":
		if !strings.HasPrefix(m.Host, "127.0.0.1:") && !strings.HasPrefix(m.Host, "[::1]:") && !strings.HasPrefix(m.Host, "localhost:") {
			return invalid("mail without TLS goes to this machine alone")
		}
	default:
		return invalid("security is starttls, tls or none")
	}
	m.Sealed = nil
	if m.Password == "" {
		if old, err := d.Mail(ctx, ente); err == nil && old.Username == m.Username && old.Host == m.Host {
			m.Password = old.Password
		}
	}
	if m.Password != "" {
		var err error
		if m.Sealed, err = d.Keys.Encrypt(keys.PurposeMail, []byte(m.Password)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return d.change(ctx, a, ente, map[string]string{"mail": m.Host}, "UPDATE ente SET mail = ? WHERE code = ?", string(text), ente)
}
