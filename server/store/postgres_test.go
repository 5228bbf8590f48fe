package store

import "testing"

func TestRebind(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 1":                                "SELECT 1",
		"SELECT a FROM t WHERE b = ? AND c = ?":   "SELECT a FROM t WHERE b = $1 AND c = $2",
		"SELECT '?' WHERE a = ? AND \"?\" = 'x?'": "SELECT '?' WHERE a = $1 AND \"?\" = 'x?'",
		"SELECT 'it''s ?', ?":                     "SELECT 'it''s ?', $1",
	} {
		if got := rebind(in); got != want {
			t.Errorf("%s\ngives %s\nnot   %s", in, got, want)
		}
	}
}
