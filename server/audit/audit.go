// Package audit is the log of who did what: append only, one chain for each ente, each
// row chained to the one before by a MAC, its end signed once a day, so that a change,
// a gap or a cut shows, and where. What a citizen reads or writes is not in it, only
// that it happened.
//
// Names, codes and documents are kept apart from the row, which holds their hash with a
// random salt: they can be erased, and the chain still holds.
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Kinds of events. Each has a sentence for people, "audit.<kind>".
const (
	LoginGranted = "login-granted"
	LoginRefused = "login-refused"
	Logout       = "logout"
	Submitted    = "submitted"
	SignRefused  = "signature-refused"
	Downloaded   = "downloaded"
	KeyAdded     = "api-key-added"
	KeyRevoked   = "api-key-revoked"
	Verified     = "api-verified"

	Registered        = "registered"          // a debole credential
	EmailConfirmed    = "email-confirmed"     //
	Joined            = "joined"              // a debole credential joins a person
	CredentialState   = "credential-state"    // an operator's act, with a reason
	CredentialReset   = "credential-reset"    // a password was made worthless, a way to a new one given
	PasswordChanged   = "password-changed"    //
	BatchPrinted      = "batch-printed"       //
	BatchConfirmed    = "batch-confirmed"     //
	BatchVoided       = "batch-voided"        //
	EnvelopeHandedOut = "envelope-handed-out" // the release: who, to whom, against which document
	EnvelopeSent      = "envelope-sent"       // the release by post
	EnvelopeActivated = "envelope-activated"  //
	EnvelopeRefused   = "envelope-refused"    // a wrong activation
	EnvelopeState     = "envelope-state"      //
	PersonRead        = "person-read"         // an operator looked somebody up
	PersonChanged     = "person-changed"      //
	CodeChanged       = "code-changed"        // a codice fiscale
	OperatorMade      = "operator-made"       //
	OperatorChanged   = "operator-changed"    //
	OperatorState     = "operator-state"      //
	OperatorActivated = "operator-activated"  //
	OperatorLogin     = "operator-login"      //
	OperatorRefused   = "operator-refused"    //
	OperatorLogout    = "operator-logout"     //
	RoleAssigned      = "role-assigned"       //
	RoleRemoved       = "role-removed"        //
	OfficesSet        = "offices-set"         // where an operator works
	FourEyesAsked     = "four-eyes-asked"     //
	FourEyesDecided   = "four-eyes-decided"   //
	EnteChanged       = "ente-changed"        //
	SwitchChanged     = "switch-changed"      //
	AccessDenied      = "access-denied"       // somebody was refused what is not theirs, or what they may not
	LogRead           = "log-read"            //
	ServicePublished  = "service-published"   // a service's definition, a new version
	ServiceSwitched   = "service-switched"    // a service was switched on or off
	RankingChanged    = "ranking-changed"     // a call, its seats, a list that was made or published
	RankingChecked    = "ranking-checked"     // a declared answer was verified or corrected, an application excluded
	RankingOffered    = "ranking-offered"     // a place was offered, accepted, renounced, or its term is over
	ApplicationMoved  = "application-moved"   // an office's act: taken in charge, answered, ...
	ApplicationFile   = "application-file"    // an attachment was taken or refused
	ApplicationCode   = "application-code"    // a code that signs at the desk was mailed
	DraftExpired      = "draft-expired"       // nobody went on with it
	MandateChanged    = "mandate-changed"     // granted, asked, accepted, refused, revoked
	FeedbackAnswered  = "feedback-answered"   // a report on accessibility
	RegisterCancelled = "register-cancelled"  // a protocol number, with its reason
	RegisterRead      = "register-read"       // a daily register, which names everybody, was downloaded
	RegisterEmergency = "register-emergency"  // the emergency register was opened or closed
	Deposited         = "deposited"           // a package for conservazione
	RegistrySearched  = "registry-searched"   // in the population's records, with the reason
	RegistryChanged   = "registry-changed"    // an operator corrected a record
	RegistryImported  = "registry-imported"   // a list of the population was uploaded, confirmed, dropped
	Erased            = "personal-erased"     // names and codes of rows were deleted
)

// Event is one row to be.
type Event struct {
	Ente string // empty: the server's own chain
	Kind string
	// Person is the codice fiscale where it is proved, else empty. It is kept apart.
	Person     string
	PersonID   int64
	Operator   int64
	Credential string // its id
	Address    string // where it came from; the row keeps it shortened
	// Detail holds nothing personal: it stays for good.
	Detail map[string]string
	// Personal is kept apart and can be erased: names, documents.
	Personal map[string]string
}

// By says that an operator did it.
func (e Event) By(a role.Actor) Event {
	e.Operator, e.Address = a.Operator, a.Address
	p := map[string]string{"operator": a.Code, "operator-name": a.Name}
	for k, v := range e.Personal {
		p[k] = v
	}
	e.Personal = p
	return e
}

// Log writes, reads and checks the rows.
type Log struct {
	Store *store.Store
	Keys  *keys.Ring
	Now   func() time.Time // nil is time.Now
}

func (l *Log) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// Write adds a row in a transaction of its own.
func (l *Log) Write(ctx context.Context, e Event) error {
	return l.Store.Tx(ctx, func(tx *sql.Tx) error { return l.WriteTx(ctx, tx, e) })
}

// Hold takes the end of an ente's chain at the beginning of a transaction that is long:
// other server processes wait for it, instead of making it start again at its end.
func (l *Log) Hold(ctx context.Context, tx *sql.Tx, ente string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE journal_head SET seq = seq WHERE ente = ?", ente); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// WriteTx adds a row in a transaction, together with what it tells. Rooms call it last:
// the end of the chain is what transactions of one ente wait for.
func (l *Log) WriteTx(ctx context.Context, tx *sql.Tx, e Event) error {
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	detail, err := json.Marshal(e.Detail) // maps are written in the order of their keys
	if err != nil {
		return err
	}
	r := row{ente: e.Ente, time: store.Time(l.now()), kind: e.Kind, operator: e.Operator, person: e.PersonID,
		credential: e.Credential, address: Shorten(e.Address), detail: string(detail), personal: []byte{}}
	apart, err := personal(e)
	if err != nil {
		return err
	}
	before, err := l.end(ctx, tx, e.Ente, &r.seq)
	if err != nil {
		return err
	}
	if apart != "" {
		sum := sha256.Sum256([]byte(apart))
		r.personal = sum[:]
		if _, err := tx.ExecContext(ctx, "INSERT INTO journal_personal (ente, seq, data) VALUES (?,?,?)", r.ente, r.seq, apart); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	id, mac := l.Keys.MAC(r.bytes(before))
	_, err = tx.ExecContext(ctx, `INSERT INTO journal (ente, seq, time, kind, operator, person, credential, address, detail, personal, key, mac)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`, r.ente, r.seq, r.time, r.kind, r.operator, r.person, r.credential, r.address, r.detail, r.personal, id, mac)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	id, head := l.Keys.MAC(headBytes(r.ente, r.seq, mac))
	if _, err = tx.ExecContext(ctx, "UPDATE journal_head SET mac = ?, key = ?, head = ? WHERE ente = ?", mac, id, head, r.ente); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// end takes the next number of an ente's chain, which no other transaction can have now,
// and gives the MAC that its row is chained to. A chain begins with the last row of the
// log of before (migration 0004), where there is one.
func (l *Log) end(ctx context.Context, tx *sql.Tx, ente string, seq *int64) (mac []byte, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO journal_head (ente, seq, mac, key, head) VALUES (?,1,?,'',?)
		ON CONFLICT (ente) DO UPDATE SET seq = journal_head.seq + 1 RETURNING seq, mac`, ente, []byte{}, []byte{}).Scan(seq, &mac)
	if err == nil && *seq == 1 {
		mac = nil
		err = tx.QueryRowContext(ctx, "SELECT mac FROM audit ORDER BY seq DESC LIMIT 1").Scan(&mac)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return mac, nil
}

// personal is what is kept apart; empty when there is nothing. The salt keeps a hash
// from being guessed back once the data is erased.
func personal(e Event) (string, error) {
	p := map[string]string{}
	for k, v := range e.Personal {
		if v != "" {
			p[k] = v
		}
	}
	if e.Person != "" {
		p["person"] = e.Person
	}
	if len(p) == 0 {
		return "", nil
	}
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // never fails (crypto/rand)
	p["salt"] = hex.EncodeToString(salt[:])
	b, err := json.Marshal(p)
	return string(b), err
}

type row struct {
	seq                         int64
	ente, time, kind            string
	operator, person            int64
	credential, address, detail string
	personal                    []byte
}

// bytes is what the MAC is over: the MAC before and the row as a JSON array,
// which no two different rows share.
func (r row) bytes(before []byte) []byte {
	return encode("citel-journal-1", before, r.seq, r.ente, r.time, r.kind, r.operator, r.person, r.credential, r.address, r.detail, r.personal)
}

func headBytes(ente string, seq int64, mac []byte) []byte {
	return encode("citel-journal-head-1", ente, seq, mac)
}

func encode(parts ...any) []byte {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings, numbers and bytes always have JSON
	}
	return b
}

// Shorten leaves of an address what does not point to one person: the first three
// bytes of IPv4, the first 48 bits of IPv6.
func Shorten(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := 48
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
