package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// Facts that were saved give the very same report, without the signed file; and
// another one at another time.
func TestSavedFacts(t *testing.T) {
	s := newStamper(t)
	s.lists(t)
	p7m, _ := s.sign(t)
	first := s.judge(t, augment(t, p7m, cades.AugmentOptions{Stamp: s.client.Stamp}), time.Now())
	data, err := verify.Save("a.p7m", []*validation.Result{first})
	if err != nil {
		t.Fatal(err)
	}
	report := func(r *validation.Result) string {
		b, err := json.Marshal(r.Signature(message.Italian))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	saved, err := verify.ReadSaved(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	again := saved.Judge(nil, time.Time{})
	if len(again) != 1 || report(again[0]) != report(first) {
		t.Errorf("another report:\n%s\n%s", report(first), report(again[0]))
	}
	if r := saved.Judge(nil, time.Now().AddDate(-30, 0, 0))[0]; r.Passed() {
		t.Error("passes thirty years ago")
	}
	for name, bad := range map[string]string{
		"nothing": "", "another format": `{"format":"x"}`, "an unknown fact": strings.Replace(string(data), `"facts": [`, `"colour": 1, "facts": [`, 1), "no facts": `{"format":"citel-facts-1","facts":[null]}`,
		"a counter-signature that is none": `{"format":"citel-facts-1","facts":[{"counter":[null]}]}`, "something after them": string(data) + "{}",
	} {
		if _, err := verify.ReadSaved(strings.NewReader(bad)); !errors.Is(err, verify.ErrSaved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"format":"citel-facts-1","facts":[{"counter":[null,{"counter":[{}]}]}]}`))
	f.Add([]byte(`{"format":"citel-facts-1","facts":[{"chain":{"found":true},"timestamps":[{"kind":"signature","imprintFound":true,"imprintMatch":true,"token":{}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		saved, err := verify.ReadSaved(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, r := range saved.Judge(nil, time.Time{}) {
			r.Signature(message.English)
		}
	})
}
