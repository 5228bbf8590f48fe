package main

import "testing"

func TestOutOfTime(t *testing.T) {
	for out, want := range map[string]bool{
		"fuzz: elapsed: 5s\n--- FAIL: FuzzWhole (4.54s)\n    context deadline exceeded\nFAIL\n":                                               true,
		"--- FAIL: FuzzWhole (4.54s)\n    --- FAIL: FuzzWhole (0.00s)\n        x_test.go:1: no\n    \n    Failing input written to a\nFAIL\n": false,
		"--- FAIL: FuzzWhole (4.54s)\n    context deadline exceeded\n    Failing input written to a\nFAIL\n":                                  false,
		"--- FAIL: FuzzWhole (4.54s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n    Failing input written to a\n":   false,
		"panic: context deadline exceeded": false,
	} {
		if outOfTime(out) != want {
			t.Errorf("%q", out)
		}
	}
}
