package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/store"
)

// ErrChanged means that the log is not as it was written.
var ErrChanged = errors.New("audit: the log was changed")

// Problem is a place where the log is not as it was written.
type Problem struct {
	Ente string // empty: the server's own chain
	Seq  int64  // the row; 0 where it is the chain as a whole
	Text string
}

// String says where and what.
func (p Problem) String() string {
	name := p.Ente
	if name == "" {
		name = "the server's own chain"
	}
	if p.Seq == 0 {
		return name + ": " + p.Text
	}
	return fmt.Sprintf("%s, row %d: %s", name, p.Seq, p.Text)
}

// Chain is what was found of one ente.
type Chain struct {
	Ente   string
	Rows   int64
	Last   []byte // the last MAC: whoever keeps it elsewhere can compare
	Sealed string // the last day that is signed
	Erased int    // rows whose personal data was deleted, and the log says so
}

// Report is what Verify found.
type Report struct {
	Chains   []Chain
	Before   int64 // rows of the log of before
	Problems []Problem
}

// Err is nil or an ErrChanged with the first problems.
func (r *Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	var text []string
	for _, p := range r.Problems[:min(len(r.Problems), 10)] {
		text = append(text, p.String())
	}
	return fmt.Errorf("%w: %s", ErrChanged, strings.Join(text, "; "))
}

// Verify walks the whole log: every row, its order, its personal data, each chain's end
// and the days' signatures. What it finds is in the report; an error is what kept it
// from looking.
func (l *Log) Verify(ctx context.Context) (*Report, error) {
	r := &Report{}
	before, err := l.verifyBefore(ctx, r)
	if err != nil {
		return nil, err
	}
	rows, err := l.Store.QueryContext(ctx, "SELECT ente FROM journal_head UNION SELECT ente FROM journal UNION SELECT ente FROM journal_day UNION SELECT code FROM ente ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	enti, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	for _, e := range enti {
		n := len(r.Chains)
		if err := l.verifyChain(ctx, r, e, before); err != nil {
			return nil, err
		}
		if len(r.Chains) == n && len(r.Problems) == 0 { // an ente's making is its first row
			r.Problems = append(r.Problems, Problem{Ente: e, Text: "the whole chain is gone"})
		}
	}
	return r, l.verifyWitness(ctx, r)
}

// head is the end of a chain as the database keeps it.
type head struct {
	seq       int64
	mac, over []byte
	key       string
	there     bool
}

func (l *Log) head(ctx context.Context, ente string) (h head, err error) {
	err = l.Store.QueryRowContext(ctx, "SELECT seq, mac, key, head FROM journal_head WHERE ente = ?", ente).Scan(&h.seq, &h.mac, &h.key, &h.over)
	h.there = err == nil
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, err
}

func (l *Log) verifyChain(ctx context.Context, r *Report, ente string, before []byte) (err error) {
	problem := func(seq int64, format string, args ...any) {
		r.Problems = append(r.Problems, Problem{Ente: ente, Seq: seq, Text: fmt.Sprintf(format, args...)})
	}
	h, err := l.head(ctx, ente) // first: rows may be added while we read
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	days, err := l.days(ctx, ente)
	if err != nil {
		return err
	}
	erased, err := l.erased(ctx, ente)
	if err != nil {
		return err
	}
	all, err := l.Store.QueryContext(ctx, `SELECT j.seq, j.ente, j.time, j.kind, j.operator, j.person, j.credential, j.address, j.detail, j.personal, j.key, j.mac, p.data
		FROM journal j LEFT JOIN journal_personal p ON p.ente = j.ente AND p.seq = j.seq WHERE j.ente = ? ORDER BY j.seq`, ente)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	c := Chain{Ente: ente, Last: before}
	for all.Next() {
		var x row
		var id string
		var mac []byte
		var data sql.NullString
		if err := all.Scan(&x.seq, &x.ente, &x.time, &x.kind, &x.operator, &x.person, &x.credential, &x.address, &x.detail, &x.personal, &id, &mac, &data); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if x.personal == nil {
			x.personal = []byte{}
		}
		if x.seq != c.Rows+1 {
			problem(x.seq, "rows are missing: it follows row %d", c.Rows)
		}
		if err := l.Keys.CheckMAC(id, x.bytes(c.Last), mac); err != nil {
			problem(x.seq, "the row was changed, or the one before it (%s, %s): %v", x.time, x.kind, err)
		}
		switch sum := sha256.Sum256([]byte(data.String)); {
		case data.Valid && !bytes.Equal(sum[:], x.personal):
			problem(x.seq, "its personal data was changed (%s, %s)", x.time, x.kind)
		case !data.Valid && len(x.personal) > 0 && erased[x.seq]:
			c.Erased++
		case !data.Valid && len(x.personal) > 0:
			problem(x.seq, "its personal data is gone, and no row says that it was erased (%s, %s)", x.time, x.kind)
		}
		for _, d := range days[x.seq] {
			if !bytes.Equal(d.mac, mac) {
				problem(x.seq, "it is not the row that was signed on %s", d.day)
			}
			delete(days, x.seq)
			c.Sealed = max(c.Sealed, d.day)
		}
		if h.there && x.seq == h.seq && !bytes.Equal(h.mac, mac) {
			problem(x.seq, "it is not the row that the chain's end names")
		}
		c.Rows, c.Last = x.seq, mac
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	switch {
	case !h.there && c.Rows > 0, !h.there && len(days) > 0:
		problem(0, "the record of the chain's end is gone")
	case !h.there:
		return nil
	case l.Keys.CheckMAC(h.key, headBytes(ente, h.seq, h.mac), h.over) != nil:
		problem(0, "the record of the chain's end was changed")
	case h.seq > c.Rows:
		problem(0, "the end is cut off: rows %d to %d are gone", c.Rows+1, h.seq)
	}
	for seq, d := range days {
		problem(seq, "it was signed on %s, and is gone", d[0].day)
	}
	r.Chains = append(r.Chains, c)
	return nil
}

type day struct {
	day string
	mac []byte
}

// days reads the signatures of days, by the row that each is over; one that does not
// hold is given with no MAC, which no row has.
func (l *Log) days(ctx context.Context, ente string) (out map[int64][]day, err error) {
	rows, err := l.Store.QueryContext(ctx, "SELECT day, seq, mac, seal FROM journal_day WHERE ente = ? ORDER BY day", ente)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out = map[int64][]day{}
	for rows.Next() {
		var d day
		var seq int64
		var seal string
		if err := rows.Scan(&d.day, &seq, &d.mac, &seal); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if l.Keys.CheckSeal(dayBytes(ente, d.day, seq, d.mac), seal) != nil {
			d.mac, d.day = nil, d.day+" (whose signature does not hold)"
		}
		out[seq] = append(out[seq], d)
	}
	return out, rows.Err()
}

func dayBytes(ente, day string, seq int64, mac []byte) []byte {
	return encode("citel-journal-day-1", ente, day, seq, mac)
}

// erased reads which rows the log itself says were stripped of personal data.
func (l *Log) erased(ctx context.Context, ente string) (_ map[int64]bool, err error) {
	rows, err := l.Store.QueryContext(ctx, "SELECT detail FROM journal WHERE ente = ? AND kind = ?", ente, Erased)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	all, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	out := map[int64]bool{}
	for _, text := range all {
		var d map[string]string
		if json.Unmarshal([]byte(text), &d) != nil {
			continue // the chain tells that it was changed
		}
		for _, n := range strings.Fields(d["rows"]) {
			if seq, err := strconv.ParseInt(n, 10, 64); err == nil {
				out[seq] = true
			}
		}
	}
	return out, nil
}

// verifyWitness compares the chains with what the server's own chain says of them, so
// that a chain that is gone as a whole shows.
func (l *Log) verifyWitness(ctx context.Context, r *Report) error {
	rows, err := l.Store.QueryContext(ctx, "SELECT detail FROM journal WHERE ente = '' AND kind = ? ORDER BY seq", daySigned)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	all, err := store.Strings(rows)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	want := map[string]string{}
	for _, text := range all {
		var d map[string]string
		if json.Unmarshal([]byte(text), &d) == nil && d["ente"] != "" {
			want[d["ente"]] = d["rows"]
		}
	}
	for _, c := range r.Chains {
		if n, err := strconv.ParseInt(want[c.Ente], 10, 64); err == nil && c.Rows < n {
			r.Problems = append(r.Problems, Problem{Ente: c.Ente, Text: fmt.Sprintf("%d rows, and the server's own chain knows of %d", c.Rows, n)})
		}
		delete(want, c.Ente)
	}
	for ente, n := range want {
		r.Problems = append(r.Problems, Problem{Ente: ente, Text: "the whole chain is gone; the server's own chain knows of " + n + " rows"})
	}
	return nil
}

// verifyBefore walks the log of before (migration 0001: one chain for all) and gives its
// last MAC.
func (l *Log) verifyBefore(ctx context.Context, r *Report) (last []byte, err error) {
	all, err := l.Store.QueryContext(ctx, "SELECT seq, ente, time, kind, person, detail, key, mac FROM audit ORDER BY seq")
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	for all.Next() {
		var seq int64
		var ente, time, kind, person, detail, id string
		var mac []byte
		if err := all.Scan(&seq, &ente, &time, &kind, &person, &detail, &id, &mac); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if seq != r.Before+1 {
			r.Problems = append(r.Problems, Problem{Ente: ente, Seq: seq, Text: fmt.Sprintf("in the log of before, rows are missing: it follows row %d", r.Before)})
		}
		if err := l.Keys.CheckMAC(id, encode(last, seq, ente, time, kind, person, detail), mac); err != nil {
			r.Problems = append(r.Problems, Problem{Ente: ente, Seq: seq, Text: fmt.Sprintf("in the log of before, the row was changed (%s, %s): %v", time, kind, err)})
		}
		r.Before, last = seq, mac
	}
	return last, all.Err()
}
