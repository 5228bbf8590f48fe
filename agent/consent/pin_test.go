package consent

import "testing"

func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		care                 Care
		least, most          int
		secret, fresh, again string
		want                 string
	}{
		{CareChange, 5, 8, "24680", "27182", "27182", ""},
		{CareChange, 5, 8, "24680", "27182818", "27182818", ""},
		{CareUnblock, 8, 8, "12345678", "27182818", "27182818", ""}, // a PUK may be simple: it is the card's
		{CareChange, 5, 8, "", "27182", "27182", "care.pin-empty"},
		{CareUnblock, 5, 8, "", "27182", "27182", "care.puk-empty"},
		{CareChange, 8, 8, "1357", "27182818", "27182818", "care.pin-length"},
		{CareUnblock, 8, 8, "1234567a", "27182818", "27182818", "care.puk-length"},
		{CareChange, 5, 8, "24680", "", "", "care.new-empty"},
		{CareChange, 5, 8, "24680", "2718", "2718", "care.new-length"},
		{CareChange, 5, 8, "24680", "2718x", "2718x", "care.new-length"},
		{CareChange, 5, 8, "24680", "27182", "27183", "care.new-differs"},
		{CareChange, 5, 8, "24680", "24680", "24680", "care.new-same"},
		{CareChange, 5, 8, "24680", "11111", "11111", "care.new-simple"},
		{CareChange, 5, 8, "24680", "23456", "23456", "care.new-simple"},
		{CareChange, 5, 8, "24680", "98765", "98765", "care.new-simple"},
		{CareUnblock, 8, 8, "87654321", "87654321", "87654321", "care.new-simple"},
	} {
		r := PINRequest{Care: c.care, Card: PINCard{MinDigits: c.least, MaxDigits: c.most}}
		if got := r.Unfit([]byte(c.secret), []byte(c.fresh), []byte(c.again)); got != c.want {
			t.Errorf("%s %q %q %q: %q, want %q", c.care, c.secret, c.fresh, c.again, got, c.want)
		}
	}
}

func TestWipe(t *testing.T) {
	secret, fresh := []byte("24680"), []byte("27182")
	a := PINAnswer{Secret: secret, Fresh: fresh}
	a.Wipe()
	if string(secret)+string(fresh) != string(make([]byte, 10)) || a.Secret != nil || a.Fresh != nil {
		t.Errorf("%q %q", secret, fresh)
	}
}
