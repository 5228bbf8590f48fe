package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

// bigList has n entries of random numbers.
func bigList(tb testing.TB, n int) (der []byte, serials []*big.Int, ca *pki.CA) {
	tb.Helper()
	ca = pki.Shared(tb).CNS
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	list := make([]x509.RevocationListEntry, n)
	for i := range list {
		serial, err := rand.Int(rand.Reader, limit)
		if err != nil {
			tb.Fatal(err)
		}
		list[i] = x509.RevocationListEntry{SerialNumber: serial.Add(serial, big.NewInt(1)), RevocationTime: time.Unix(1_700_000_000+int64(i), 0), ReasonCode: i % 6}
		serials = append(serials, serial)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: list,
	}, ca.Cert, ca.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return der, serials, ca
}

// Every entry of a list is found as crypto/x509 reads it, and no other.
func TestIndexFindsWhatX509Reads(t *testing.T) {
	indexFinds(t, false)
}

// The same of a list so long that it is kept as a table.
func TestTableFindsWhatX509Reads(t *testing.T) {
	old := trust.CompactFrom(1)
	defer trust.CompactFrom(old)
	indexFinds(t, true)
}

func indexFinds(t *testing.T, compact bool) {
	t.Helper()
	der, _, ca := bigList(t, 5000)
	want, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	c, err := trust.ParseCRL(der, "test")
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCompact() != compact {
		t.Errorf("compact %v", c.IsCompact())
	}
	if err := c.SignedFrom(ca.Cert); err != nil {
		t.Error(err)
	}
	if err := c.SignedFrom(pki.Shared(t).CIE.Cert); err == nil {
		t.Error("another authority's key is taken")
	}
	for _, e := range want.RevokedCertificateEntries {
		at, reason, ok := c.Find(e.SerialNumber)
		if !ok || reason != e.ReasonCode || !at.Equal(e.RevocationTime) {
			t.Fatalf("%s: %s, %d, %v, want %+v", e.SerialNumber, at, reason, ok, e)
		}
		if _, _, ok := c.Find(new(big.Int).Add(e.SerialNumber, big.NewInt(1))); ok {
			t.Fatalf("%s + 1 is found", e.SerialNumber)
		}
	}
	changed := append([]byte(nil), der...)
	changed[len(der)/2] ^= 1
	if c, err := trust.ParseCRL(changed, "test"); err == nil && c.SignedFrom(ca.Cert) == nil {
		t.Error("a changed list holds")
	}
}

// A list of a million entries: indexed once, then asked. x509 is the peer that parses
// into memory.
func BenchmarkCRLMillion(b *testing.B) {
	der, serials, _ := bigList(b, 1_000_000)
	c, err := trust.ParseCRL(der, "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ask", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, _, ok := c.Find(serials[i%len(serials)]); !ok {
				b.Fatal("not found")
			}
			i += 7919
		}
	})
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			if _, err := trust.ParseCRL(der, "bench"); err != nil {
				b.Fatal(err)
			}
		}
		// What a list holds on to beside the bytes that it came as, which go.
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kept, err := trust.ParseCRL(bytes.Clone(der), "bench")
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "held-B")
		b.ReportMetric(float64(len(der)), "list-B")
		runtime.KeepAlive(kept)
	})
	b.Run("x509", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			if _, err := x509.ParseRevocationList(der); err != nil {
				b.Fatal(err)
			}
		}
	})
}
