package worker

import (
	"encoding/json"
	"testing"
)

// What a helper says is as good as a stranger's: it never ends the agent, and what
// is taken keeps the limits.
func FuzzAnswer(f *testing.F) {
	for _, a := range []answer{
		{N: 1, Tokens: 1}, {N: 2, Failure: failPINWrong, FinalTry: true, Detail: "0xA0"},
		{N: 3, Identities: []identity{{Certificate: []byte{0x30, 0}, Token: "1", Label: "card", MinPIN: 5, MaxPIN: 8}}},
		{N: 4, Signature: []byte{1}},
	} {
		data, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, a.N, string(opSign))
		f.Add(data, a.N, string(opIdentities))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint64, op string) {
		a, err := parseAnswer(data, order{N: n, Op: operation(op)})
		if err != nil {
			return
		}
		if a.N != n || len(a.Identities) > maxIdentities || len(a.Signature) > maxSignature || len(a.Detail) > maxText || !failures[a.Failure] {
			t.Errorf("taken: %+v", a)
		}
		if len(a.Signature) > 0 && operation(op) != opSign || len(a.Identities) > 0 && operation(op) != opIdentities {
			t.Errorf("an answer to another question: %+v", a)
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseAnswer(again, order{N: n, Op: operation(op)}); err != nil {
			t.Errorf("what was taken is refused the second time: %v", err)
		}
	})
}

// What the helper reads from the agent.
func FuzzOrder(f *testing.F) {
	for _, o := range []order{
		{N: 1, Op: opStart, Module: "/usr/lib/x.so"}, {N: 2, Op: opUnlock, PIN: true},
		{N: 3, Op: opSign, Hash: "SHA-256", Digest: make([]byte, 32)}, {N: 4, Op: opOpen, Token: "1", Certificate: "ab"},
	} {
		data, err := json.Marshal(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parseOrder(data)
		if err != nil {
			return
		}
		if o.Op == opSign && len(o.Digest) != hashes[o.Hash].Size() || o.PIN && o.Op != opUnlock || len(o.Token) > maxText {
			t.Errorf("taken: %+v", o)
		}
	})
}
