package register

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// DayState is what is found out about a daily register.
type DayState string

// The states. Sentences are "register.state-<state>".
const (
	DayGood    DayState = "good"    // data, entries and seal fit together
	DayMissing DayState = "missing" // a file is gone
	DayData    DayState = "data"    // the data are not those that were written
	DayEntries DayState = "entries" // the register has other entries for the day
	DaySeal    DayState = "seal"    // the PDF's seal does not hold
)

// CheckDay judges a daily register by what is stored now: the data's hash, the entries of
// the register against them, and the PDF's seal by our own verifier with the ente's
// certificate.
func (d *Desk) CheckDay(ctx context.Context, a role.Actor, x *Day) (DayState, error) {
	if err := may(a); err != nil {
		return "", err
	}
	if x.Ente != a.Ente {
		return "", ErrNotFound
	}
	data, err := d.whole(ctx, x.Data)
	if errors.Is(err, os.ErrNotExist) {
		return DayMissing, nil
	}
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != x.SHA256 {
		return DayData, nil
	}
	if ok, err := d.fits(ctx, x, data); err != nil || !ok {
		return DayEntries, err
	}
	sealed, err := d.whole(ctx, x.Document)
	if errors.Is(err, os.ErrNotExist) {
		return DayMissing, nil
	}
	if err != nil {
		return "", err
	}
	// The PDF's identifier is the beginning of the data's hash (closeDay), and sealed with
	// it: another day's register, well sealed as it is, does not stand in for this one's.
	if !bytes.Contains(bytes.ToLower(sealed), []byte(x.SHA256[:32])) {
		return DaySeal, nil
	}
	return d.sealState(ctx, x, sealed)
}

func (d *Desk) whole(ctx context.Context, name string) ([]byte, error) {
	f, err := d.Store.OpenFile(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// fits compares a day's data with the register. A cancellation that came later is no
// difference.
func (d *Desk) fits(ctx context.Context, x *Day, data []byte) (bool, error) {
	var was struct {
		Entries []record `json:"entries"`
	}
	if err := json.Unmarshal(data, &was); err != nil {
		return false, nil //nolint:nilerr // not what we wrote
	}
	day, err := time.ParseInLocation(time.DateOnly, x.Day, rome)
	if err != nil {
		return false, fmt.Errorf("register: %w", err)
	}
	now, err := d.entries(ctx, "WHERE r.ente = ? AND r.time >= ? AND r.time < ? ORDER BY r.year, r.number", x.Ente, store.Time(day), store.Time(day.AddDate(0, 0, 1)))
	if err != nil || len(now) != len(was.Entries) {
		return false, err
	}
	for i, e := range now {
		y, z := recordOf(e), was.Entries[i]
		y.Cancelled, y.Reason, y.Author, z.Cancelled, z.Reason, z.Author = "", "", "", "", "", ""
		if y != z || d.check(ctx, e) != nil {
			return false, nil
		}
	}
	return true, nil
}

func (d *Desk) sealState(ctx context.Context, x *Day, sealed []byte) (DayState, error) {
	e, err := d.Enti.Get(ctx, x.Ente)
	if err != nil {
		return "", err
	}
	certificates, err := d.Seals.PEM(ctx, x.Ente, e.Name)
	if err != nil {
		return "", err
	}
	anchors := trust.NewStore()
	if _, err := anchors.AddPEM(certificates, "seal"); err != nil {
		return "", fmt.Errorf("register: %w", err)
	}
	results, err := verify.Reader(ctx, bytes.NewReader(sealed), verify.Options{Store: anchors, Time: d.now()})
	if err != nil || len(results) != 1 {
		return DaySeal, nil //nolint:nilerr // not what we sealed
	}
	if !results[0].Passed() {
		return DaySeal, nil
	}
	return DayGood, nil
}
