package ente

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/citel-pa/citel/server/role"
)

// Public is what the portal's header, footer and notices say of an ente. Everything may be
// empty; pages then leave it out, or say that it is to be asked for.
type Public struct {
	// Region and RegionSite are the slim header's first link (Modello Comuni).
	Region     string `json:"region,omitempty"`
	RegionSite string `json:"regionSite,omitempty"`
	Address    string `json:"address,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Email      string `json:"email,omitempty"`
	PEC        string `json:"pec,omitempty"`
	TaxCode    string `json:"taxCode,omitempty"`
	// DPO is how to reach the data protection officer (Regulation (EU) 2016/679, art. 13(1)(b)).
	DPO string `json:"dpo,omitempty"`
	// Declaration is the address of the accessibility declaration (L. 4/2004, art. 3-quater).
	Declaration string `json:"declaration,omitempty"`
	// Feedback is where reports on accessibility are mailed to; empty: Email.
	Feedback string `json:"feedback,omitempty"`
	// Europe: the portal was paid for by the Union, and shows its emblem.
	Europe bool `json:"europe,omitempty"`
}

// FeedbackTo is the office that gets reports on accessibility.
func (p *Public) FeedbackTo() string {
	if p.Feedback != "" {
		return p.Feedback
	}
	return p.Email
}

// Public reads it.
func (d *Directory) Public(ctx context.Context, ente string) (*Public, error) {
	var text string
	err := d.Store.QueryRowContext(ctx, "SELECT content FROM ente_public WHERE ente = ?", ente).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return &Public{}, nil
	}
	var p Public
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	return &p, nil
}

// SetPublic changes it in the operator's ente.
func (d *Directory) SetPublic(ctx context.Context, a role.Actor, ente string, p Public) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	for _, x := range []*string{&p.Region, &p.RegionSite, &p.Address, &p.Phone, &p.Email, &p.PEC, &p.TaxCode, &p.DPO, &p.Declaration, &p.Feedback} {
		if *x = strings.TrimSpace(*x); utf8.RuneCountInString(*x) > 200 {
			return invalid("more than 200 characters")
		}
	}
	for _, x := range []string{p.RegionSite, p.Declaration} {
		if x != "" && !strings.HasPrefix(x, "https://") {
			return invalid("%q is no https address", x)
		}
	}
	for _, x := range []string{p.Email, p.PEC, p.Feedback} {
		if m, err := mail.ParseAddress(x); x != "" && (err != nil || m.Address != x) {
			return invalid("%q is no e-mail address", x)
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("ente: %w", err)
	}
	return d.change(ctx, a, ente, map[string]string{"public": string(text)},
		"INSERT INTO ente_public (ente, content) VALUES (?,?) ON CONFLICT (ente) DO UPDATE SET content = excluded.content", ente, string(text))
}
