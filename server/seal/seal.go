// Package seal puts an ente's electronic seal on its PDFs: PAdES (ETSI EN 319 142-1) with
// a key of the ring, time-stamped where an authority is set. The certificate is on the
// ente's pages; whoever has it can tell years later that a receipt is genuine.
package seal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/xades"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

// Desk seals documents.
type Desk struct {
	Store *store.Store
	Keys  *keys.Ring
	// Stamp asks a time-stamping authority; nil makes B-B.
	Stamp cades.StampFunc
	Now   func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// life of a certificate that we make: longer than files are kept.
const life = 30

var (
	oidQcStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQcType       = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQcESeal      = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
	oidNoRevAvail   = asn1.ObjectIdentifier{2, 5, 29, 56}
)

type statement struct {
	ID    asn1.ObjectIdentifier
	Types []asn1.ObjectIdentifier
}

// template of an ente's certificate: for seals (ETSI EN 319 412-5, 4.2.3; not a qualified
// one, so without QcCompliance), for signatures alone, issued by itself, without
// revocation (RFC 9608): who holds it compares it with the one on the ente's pages.
func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	seal, err := asn1.Marshal([]statement{{oidQcType, []asn1.ObjectIdentifier{oidQcESeal}}})
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(life, 0, 0),
		Subject:  pkix.Name{Country: []string{"IT"}, Organization: []string{name}, CommonName: "Sigillo " + name},
		KeyUsage: x509.KeyUsageContentCommitment,
		ExtraExtensions: []pkix.Extension{
			{Id: oidQcStatements, Value: seal},
			{Id: oidNoRevAvail, Value: asn1.NullBytes},
		},
	}, nil
}

// identity gives the newest key and its certificate, and makes that at the first time.
func (d *Desk) identity(ctx context.Context, ente, name string) (crypto.Signer, *x509.Certificate, error) {
	id, signer, certificate, err := d.Keys.Document(ente)
	if err != nil {
		return nil, nil, err
	}
	if c, err := d.stored(ctx, d.Store, ente, id); err != nil || c != nil {
		return signer, c, err
	}
	if certificate == nil {
		t, err := template(name, d.now().UTC())
		if err != nil {
			return nil, nil, fmt.Errorf("seal: %w", err)
		}
		der, err := x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer)
		if err != nil {
			return nil, nil, fmt.Errorf("seal: %w", err)
		}
		if certificate, err = x509.ParseCertificate(der); err != nil {
			return nil, nil, fmt.Errorf("seal: %w", err)
		}
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error { // another process may have been faster
		_, err := tx.ExecContext(ctx, "INSERT INTO seal_certificate (ente, key, der, made) VALUES (?,?,?,?) ON CONFLICT (ente, key) DO NOTHING", ente, id, certificate.Raw, store.Time(d.now()))
		if err != nil {
			return err
		}
		certificate, err = d.stored(ctx, tx, ente, id)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	return signer, certificate, nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (d *Desk) stored(ctx context.Context, q querier, ente, id string) (*x509.Certificate, error) {
	var der []byte
	err := q.QueryRowContext(ctx, "SELECT der FROM seal_certificate WHERE ente = ? AND key = ?", ente, id).Scan(&der)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return x509.ParseCertificate(der)
}

// PEM gives all certificates that an ente's seals were made with, newest first: what its
// pages offer.
func (d *Desk) PEM(ctx context.Context, ente, name string) ([]byte, error) {
	if _, _, err := d.identity(ctx, ente, name); err != nil {
		return nil, err
	}
	return d.Made(ctx, ente)
}

// Made gives those that there are, and makes none: of an ente that is not there any more.
func (d *Desk) Made(ctx context.Context, ente string) (_ []byte, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT der FROM seal_certificate WHERE ente = ? ORDER BY made DESC, key", ente)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []byte
	for rows.Next() {
		var der []byte
		if err := rows.Scan(&der); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out, rows.Err()
}

// SignXML puts an enveloped XAdES-B-B seal on an XML document (ETSI EN 319 132-1, 6.3).
func (d *Desk) SignXML(ctx context.Context, ente, name string, document []byte) ([]byte, error) {
	signer, certificate, err := d.identity(ctx, ente, name)
	if err != nil {
		return nil, err
	}
	out, err := xades.Sign(ctx, document, xades.SignOptions{Certificate: certificate, SigningTime: d.now(),
		Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
			return signer.Sign(rand.Reader, digest, o)
		}})
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out, nil
}

// Seal seals a PDF. An authority that does not answer is no reason to keep a receipt
// back: stamped is false then.
func (d *Desk) Seal(ctx context.Context, ente, name, reason string, document []byte) (sealed []byte, stamped bool, err error) {
	signer, certificate, err := d.identity(ctx, ente, name)
	if err != nil {
		return nil, false, err
	}
	o := pades.SignOptions{Stamp: d.Stamp, SignOptions: cades.SignOptions{Certificate: certificate, SigningTime: d.now().UTC().Truncate(time.Second),
		Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
			return signer.Sign(rand.Reader, digest, o)
		}}}
	p := pades.PrepareOptions{Name: name, Reason: reason, NewField: "Sigillo"}
	for {
		var out bytes.Buffer
		err = pades.Sign(ctx, o, p, bytes.NewReader(document), int64(len(document)), &out)
		if err == nil {
			return out.Bytes(), o.Stamp != nil, nil
		}
		if o.Stamp == nil || ctx.Err() != nil {
			return nil, false, fmt.Errorf("seal: %w", err)
		}
		o.Stamp = nil
	}
}
