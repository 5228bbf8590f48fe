package verify_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// BenchmarkValidate10KiB: a CAdES-B-B of 10 KiB from bytes to verdict, its revocation and
// chain known from before, on all cores; beside it the verification of the signature's
// value alone.
func BenchmarkValidate10KiB(b *testing.B) {
	p := pki.Shared(b)
	s := store(b, p)
	o := verify.Options{Store: s, Revocation: &trust.Revocation{Store: s}, Policy: validation.Strict()}
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		id := p.MustIssue(b, pki.CNS, alg, pki.Citizens[0])
		p7m := sign(b, id, strings.Repeat("citel ", 10<<10/6))
		if r := judge(b, p7m, o); !r.Passed() {
			b.Fatal(r.Indication, r.SubIndication)
		}
		m, err := cms.Parse(bytes.NewReader(p7m), cms.ParseOptions{})
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256(cms.AsSet(m.Signers[0].SignedAttrs))
		b.Run(string(alg)+"/whole", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := verify.Reader(context.Background(), bytes.NewReader(p7m), o)
					if err != nil || !r[0].Passed() {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run(string(alg)+"/value", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ok := false
					switch k := id.Cert.PublicKey.(type) {
					case *rsa.PublicKey:
						ok = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], m.Signers[0].Signature) == nil
					case *ecdsa.PublicKey:
						ok = ecdsa.VerifyASN1(k, digest[:], m.Signers[0].Signature)
					}
					if !ok {
						b.Error("the value does not hold")
						return
					}
				}
			})
		})
	}
}

// BenchmarkStream: a large document in each form that a .p7m has, from a file to verdict,
// beside SHA-256 over the same file.
func BenchmarkStream(b *testing.B) {
	size, err := strconv.ParseInt(os.Getenv("CITEL_BENCH_BYTES"), 10, 64)
	if err != nil {
		size = 64 << 20
	}
	p := pki.Shared(b)
	s := store(b, p)
	id := p.MustIssue(b, pki.CNS, pki.RSA2048, pki.Citizens[0])
	dir := b.TempDir()
	name := func(form string) string { return filepath.Join(dir, form) }
	create := func(form string, write func(*os.File) error) {
		f, err := os.Create(name(form))
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			b.Fatal(err)
		}
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	create("document", func(f *os.File) error {
		for left := size; left > 0; left -= int64(len(block)) {
			if _, err := f.Write(block[:min(int64(len(block)), left)]); err != nil {
				return err
			}
		}
		return nil
	})
	signInto := func(detached bool, n int64, out io.Writer) error {
		in, err := os.Open(name("document"))
		if err != nil {
			return err
		}
		return errors.Join(cades.Sign(context.Background(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(), Detached: detached,
			Sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, digest, opts)
			}}, in, n, out), in.Close())
	}
	create("der", func(f *os.File) error { return signInto(false, size, f) })
	create("ber", func(f *os.File) error { return signInto(false, -1, f) })
	create("detached", func(f *os.File) error { return signInto(true, size, f) })
	text := func(head, tail string) func(*os.File) error {
		return func(f *os.File) error {
			w := bufio.NewWriter(f)
			_, _ = w.WriteString(head)
			e := base64.NewEncoder(base64.StdEncoding, &lines{w: w})
			in, err := os.Open(name("der"))
			if err != nil {
				return err
			}
			_, err = io.Copy(e, in)
			err = errors.Join(err, e.Close(), in.Close())
			_, _ = w.WriteString(tail)
			return errors.Join(err, w.Flush())
		}
	}
	create("base64", text("", "\n"))
	create("pem", text("-----BEGIN PKCS7-----\n", "\n-----END PKCS7-----\n"))
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			f, err := os.Open(name("document"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
				b.Fatal(err)
			}
			_ = f.Close()
		}
	})
	for _, form := range []string{"der", "ber", "detached", "base64", "pem"} {
		b.Run(form, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				f, err := os.Open(name(form))
				if err != nil {
					b.Fatal(err)
				}
				o := verify.Options{Store: s, Policy: validation.Strict()}
				if form == "detached" {
					content, err := os.Open(name("document"))
					if err != nil {
						b.Fatal(err)
					}
					o.Content = content
				}
				r, err := verify.Reader(context.Background(), f, o)
				if err != nil || !r[0].Passed() || r[0].Facts.Content.Bytes != size {
					b.Fatal(err)
				}
				_ = f.Close()
			}
		})
	}
}

// lines breaks base64 into lines of 64 characters.
type lines struct {
	w io.Writer
	n int
}

func (l *lines) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		piece := p[done:min(len(p), done+64-l.n)]
		if _, err := l.w.Write(piece); err != nil {
			return done, err
		}
		done += len(piece)
		if l.n += len(piece); l.n == 64 {
			if _, err := l.w.Write([]byte("\n")); err != nil {
				return done, err
			}
			l.n = 0
		}
	}
	return len(p), nil
}
