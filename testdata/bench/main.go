// Command bench measures what CiTel promises, each beside its peer in the same
// run, prints a table and writes it as JSON. `make bench` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Row is one figure. Ratio is value over the peer's (empty without a peer).
type Row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Peer names what it was measured beside; Ratio is Value divided by its value.
	Peer  string  `json:"peer,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	// Target is what the project promises, in words.
	Target string `json:"target,omitempty"`
}

type table struct{ rows []Row }

func (t *table) add(r Row) {
	t.rows = append(t.rows, r)
	line := fmt.Sprintf("%-46s %12.4g %-10s", r.Name, r.Value, r.Unit)
	if r.Peer != "" {
		line += fmt.Sprintf(" %6.2f x %s", r.Ratio, r.Peer)
	}
	if r.Target != "" {
		line += "   (target: " + r.Target + ")"
	}
	fmt.Println(line)
}

func main() {
	out := flag.String("out", "build/bench.json", "the file to write")
	only := flag.String("only", "", "one part alone: small, validate, lists, tokens, keys, program, cards, window, large")
	big := flag.Int64("big", 2<<30, "bytes of the large document")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *out, *only, *big)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, only string, big int64) (err error) {
	dir, err := filepath.Abs("build/bench")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t := &table{}
	for _, part := range []struct {
		name string
		run  func(context.Context, *table, string, int64) error
	}{{"small", small}, {"validate", validate}, {"lists", lists}, {"tokens", tokens}, {"keys", keys}, {"program", program}, {"cards", cards}, {"window", window}, {"large", large}} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.run(ctx, t, dir, big); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	data, err := json.MarshalIndent(t.rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(data, '\n'), 0o600)
}
