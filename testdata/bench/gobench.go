package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are the medians of a package's benchmarks: name, then unit.
type results map[string]map[string]float64

var cpuSuffix = regexp.MustCompile(`-\d+$`)

// goBench runs benchmarks of a package and gives medians.
func goBench(ctx context.Context, pkg, pattern string, env []string, args ...string) (results, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-tags", "tester", "-run", "^$", "-bench", pattern, pkg}, args...)...) //nolint:gosec // our own packages
	cmd.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", pkg, err, out, errs.String())
	}
	all := map[string]map[string][]float64{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		_, name, _ := strings.Cut(cpuSuffix.ReplaceAllString(f[0], ""), "/")
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q", pkg, line)
			}
			if all[name] == nil {
				all[name] = map[string][]float64{}
			}
			all[name][f[i+1]] = append(all[name][f[i+1]], v)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no benchmark is called %s", pkg, pattern)
	}
	r := results{}
	for name, units := range all {
		r[name] = map[string]float64{}
		for unit, values := range units {
			r[name][unit] = median(values)
		}
	}
	return r, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// small: a signed file of 10 KiB, beside the peers and the least Go can do.
func small(ctx context.Context, t *table, dir string, _ int64) error {
	r, err := goBench(ctx, "./pkcs/cades", "^BenchmarkVerify10KiB$", []string{"CITEL_BENCH_DIR=" + dir}, "-count", "5", "-benchtime", "0.5s")
	if err != nil {
		return err
	}
	openssl, err := opensslLibrary(ctx, dir)
	if err != nil {
		return err
	}
	ours := r["ours"]["ns/op"]
	for _, peer := range []struct {
		name   string
		ns     float64
		target string
	}{
		{"the limit in Go (certificate, hash, key)", r["limit"]["ns/op"], "under 1.3"},
		{"go.mozilla.org/pkcs7", r["pkcs7"]["ns/op"], ""},
		{"openssl's CMS_verify", openssl, ""},
	} {
		t.add(Row{Name: "verify CAdES, 10 KiB, RSA-2048", Value: ours / 1e3, Unit: "us", Peer: peer.name, Ratio: ours / peer.ns, Target: peer.target})
	}
	return nil
}

// validate: from bytes to verdict, chain and revocation known, beside the signature's value
// alone on the same cores, and beside openssl's library on one.
func validate(ctx context.Context, t *table, dir string, _ int64) error {
	r, err := goBench(ctx, "./pkcs/verify", "^BenchmarkValidate10KiB$", nil, "-count", "5", "-benchtime", "0.5s", "-cpu", "2")
	if err != nil {
		return err
	}
	for _, alg := range []string{"rsa2048", "p256"} {
		whole, value := r[alg+"/whole"], r[alg+"/value"]
		if whole["ns/op"] == 0 || value["ns/op"] == 0 {
			return errors.New("pkcs/verify: no figures for " + alg)
		}
		t.add(Row{Name: "validations, CAdES-B-B, 10 KiB, 2 cores, " + alg, Value: 1e9 / whole["ns/op"], Unit: "1/s", Peer: "its signature value alone",
			Ratio: value["ns/op"] / whole["ns/op"], Target: "over 0.5"})
		t.add(Row{Name: "allocations of a validation, " + alg, Value: whole["allocs/op"], Unit: "allocs"})
	}
	if _, err := goBench(ctx, "./pkcs/cades", "^BenchmarkVerify10KiB$", []string{"CITEL_BENCH_DIR=" + dir}, "-benchtime", "1x"); err != nil {
		return err // it writes the file that openssl reads
	}
	openssl, err := opensslLibrary(ctx, dir)
	if err != nil {
		return err
	}
	one, err := goBench(ctx, "./pkcs/verify", "^BenchmarkValidate10KiB$/^rsa2048$/^whole$", nil, "-count", "5", "-benchtime", "0.5s", "-cpu", "1")
	if err != nil {
		return err
	}
	ours := one["rsa2048/whole"]["ns/op"]
	t.add(Row{Name: "validation, 10 KiB, RSA-2048, one core", Value: ours / 1e3, Unit: "us", Peer: "openssl's CMS_verify (no chain, no revocation)", Ratio: ours / openssl})
	return nil
}

// lists: a list of a million entries.
func lists(ctx context.Context, t *table, _ string, _ int64) error {
	r, err := goBench(ctx, "./pkcs/trust", "^BenchmarkCRLMillion$", nil, "-count", "3", "-benchtime", "1x", "-timeout", "10m")
	if err != nil {
		return err
	}
	asked, err := goBench(ctx, "./pkcs/trust", "^BenchmarkCRLMillion$/^ask$", nil, "-benchtime", "0.5s", "-timeout", "10m")
	if err != nil {
		return err
	}
	t.add(Row{Name: "a question to a list of a million entries", Value: asked["ask"]["ns/op"] / 1e3, Unit: "us", Target: "microseconds"})
	t.add(Row{Name: "memory of a list of a million entries", Value: r["index"]["held-B"] / (1 << 20), Unit: "MiB", Peer: "the list's size", Ratio: r["index"]["held-B"] / r["index"]["list-B"], Target: "at most 1"})
	t.add(Row{Name: "reading a list of a million entries", Value: r["index"]["ns/op"] / 1e6, Unit: "ms", Peer: "crypto/x509", Ratio: r["index"]["ns/op"] / r["x509"]["ns/op"]})
	return nil
}

func opensslLibrary(ctx context.Context, dir string) (float64, error) {
	program := filepath.Join(dir, "openssl-verify")
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-Wall", "-Werror", "-o", program, "testdata/bench/openssl/verify.c", "-lcrypto").CombinedOutput(); err != nil { //nolint:gosec // our own source
		return 0, fmt.Errorf("openssl's library: %w (`make deps` installs libssl-dev)\n%s", err, out)
	}
	var ns []float64
	for range 5 {
		out, err := exec.CommandContext(ctx, program, filepath.Join(dir, "10k.p7m"), "0.5").Output() //nolint:gosec // built above
		if err != nil {
			return 0, fmt.Errorf("openssl's library: %w", err)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, err
		}
		ns = append(ns, v)
	}
	return median(ns), nil
}

// tokens: how many login tokens one core verifies in a second.
func tokens(ctx context.Context, t *table, _ string, _ int64) error {
	r, err := goBench(ctx, "./pkcs/authtoken", "^BenchmarkValidate$", nil, "-count", "3", "-benchtime", "0.5s", "-cpu", "1")
	if err != nil {
		return err
	}
	for name, units := range r {
		t.add(Row{Name: "login tokens verified, one core, " + name, Value: units["tokens/s"], Unit: "tokens/s"})
	}
	return nil
}

// keys: C_Sign alone and through the agent's helper process.
func keys(ctx context.Context, t *table, _ string, _ int64) error {
	r, err := goBench(ctx, "./agent/worker", "^BenchmarkSign$", nil, "-count", "3", "-benchtime", "0.5s")
	if err != nil {
		return err
	}
	for _, alg := range []string{"rsa2048", "p256"} {
		direct, helper := r["direct/"+alg]["ns/op"], r["helper/"+alg]["ns/op"]
		if direct == 0 || helper == 0 {
			return errors.New("agent/worker: no figures for " + alg)
		}
		t.add(Row{Name: "C_Sign alone, SoftHSM, " + alg, Value: direct / 1e3, Unit: "us"})
		t.add(Row{Name: "C_Sign through the helper process, " + alg, Value: helper / 1e3, Unit: "us", Peer: "alone", Ratio: helper / direct})
	}
	return nil
}

// large: a document that is larger than the memory we may use.
func large(ctx context.Context, t *table, dir string, big int64) error {
	r, err := goBench(ctx, "./pkcs/cades", "^BenchmarkLarge$", []string{fmt.Sprintf("CITEL_BENCH_BYTES=%d", big), "TMPDIR=" + dir}, "-count", "3", "-benchtime", "1x", "-timeout", "15m")
	if err != nil {
		return err
	}
	size := fmt.Sprintf("%.4g GiB", float64(big)/(1<<30))
	speed := func(name string) float64 { return float64(big) / r[name]["ns/op"] * 1e3 } // MB/s
	t.add(Row{Name: "SHA-256 alone, " + size, Value: speed("sha256"), Unit: "MB/s"})
	t.add(Row{Name: "hash and copy the file, " + size, Value: speed("hash-and-copy"), Unit: "MB/s"})
	for _, name := range []string{"sign-detached", "verify-detached"} {
		t.add(Row{Name: name + ", " + size, Value: speed(name), Unit: "MB/s", Peer: "SHA-256's speed", Ratio: speed(name) / speed("sha256"), Target: "over 0.5"})
	}
	for _, name := range []string{"sign-enveloping", "verify-enveloping"} {
		row := Row{Name: name + ", " + size, Value: r[name]["ns/op"] / 1e9, Unit: "s", Peer: "hash and copy", Ratio: r[name]["ns/op"] / r["hash-and-copy"]["ns/op"]}
		if name == "sign-enveloping" {
			row.Target = "at most 1.3"
		}
		t.add(row)
	}
	return nil
}
