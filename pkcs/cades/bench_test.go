//go:build unix

package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.mozilla.org/pkcs7"

	"github.com/citel-pa/citel/testdata/pki"
)

// Verification of 10 KiB: ours, the peer, and the least that Go can do: parse the
// certificate, hash the content and the attributes, verify with the fresh key.
func BenchmarkVerify10KiB(b *testing.B) {
	data := bytes.Repeat([]byte("citel "), 10<<10/6)
	id := identity(b, pki.RSA2048)
	p7m := sign(b, options(id), data)
	m := parse(b, p7m)
	attrs := append([]byte{0x31}, m.Signers[0].SignedAttrs[1:]...)
	if dir := os.Getenv("CITEL_BENCH_DIR"); dir != "" {
		// For the C program that times openssl's library on the same file.
		if err := os.WriteFile(filepath.Join(dir, "10k.p7m"), p7m, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			facts, err := Read(context.Background(), bytes.NewReader(p7m), ReadOptions{})
			if err != nil || !facts[0].Value.OverReceived || !facts[0].Attribute.DigestMatch {
				b.Fatal(err)
			}
		}
	})
	b.Run("pkcs7", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := pkcs7.Parse(p7m)
			if err != nil {
				b.Fatal(err)
			}
			if err := p.Verify(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("limit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := x509.ParseCertificate(id.Cert.Raw)
			if err != nil {
				b.Fatal(err)
			}
			_ = sha256.Sum256(data)
			h := sha256.Sum256(attrs)
			k, ok := c.PublicKey.(*rsa.PublicKey)
			if !ok {
				b.Fatal("key")
			}
			if err := rsa.VerifyPKCS1v15(k, crypto.SHA256, h[:], m.Signers[0].Signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// largeSize is 64 MiB here and what CITEL_BENCH_BYTES says in make bench.
func largeSize(b *testing.B) int64 {
	n, err := strconv.ParseInt(os.Getenv("CITEL_BENCH_BYTES"), 10, 64)
	if err != nil {
		return 64 << 20
	}
	return n
}

// largeFile writes a file of the wanted size, not sparse.
func largeFile(b *testing.B) *os.File {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "large"))
	if err != nil {
		b.Fatal(err)
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for left := largeSize(b); left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(int64(len(block)), left)]); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkLarge: a document that is larger than the memory we may use.
func BenchmarkLarge(b *testing.B) {
	f := largeFile(b)
	size := largeSize(b)
	id := identity(b, pki.RSA2048)
	rewind := func() io.Reader {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		return f
	}
	signed, err := os.Create(filepath.Join(b.TempDir(), "signed"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = signed.Close() }()
	var detached bytes.Buffer
	o := options(id)
	o.Detached = true
	if err := Sign(context.Background(), o, rewind(), size, &detached); err != nil {
		b.Fatal(err)
	}
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				// What the one before left to be written must not slow this one down.
				b.StopTimer()
				syscall.Sync()
				b.StartTimer()
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("sha256", func() error {
		_, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{rewind()}, make([]byte, copyBuffer))
		return err
	})
	run("hash-and-copy", func() error {
		out, err := os.Create(signed.Name() + ".copy")
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(sha256.New(), out)}, struct{ io.Reader }{rewind()}, make([]byte, copyBuffer))
		return err
	})
	run("sign-detached", func() error { return Sign(context.Background(), o, rewind(), size, io.Discard) })
	run("verify-detached", func() error {
		_, err := Read(context.Background(), bytes.NewReader(detached.Bytes()), ReadOptions{Content: rewind()})
		return err
	})
	run("sign-enveloping", func() error {
		out, err := os.Create(signed.Name())
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		return Sign(context.Background(), options(id), rewind(), size, out)
	})
	run("verify-enveloping", func() error {
		in, err := os.Open(signed.Name())
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		_, err = Read(context.Background(), in, ReadOptions{})
		return err
	})
}
