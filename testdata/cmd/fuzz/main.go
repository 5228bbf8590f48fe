// Command fuzz runs every fuzz target of the packages it is given, one after the
// other, since `go test -fuzz` takes only one target at a time.
//
//	fuzz -time 10m PACKAGE...    each target for ten minutes
//	fuzz -total 5m PACKAGE...    all targets in five minutes together
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// least is the shortest run worth starting, after the seeds.
const least = 2 * time.Second

type target struct{ pkg, name string }

func main() {
	each := flag.Duration("time", 0, "time for each target")
	total := flag.Duration("total", 0, "time for all targets together")
	tags := flag.String("tags", "tester", "build tags")
	flag.Parse()
	if (*each == 0) == (*total == 0) || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: fuzz -time D | -total D PACKAGE...")
		os.Exit(64)
	}
	targets, err := find(*tags, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
	if len(targets) == 0 {
		fmt.Fprintln(os.Stderr, "fuzz: no fuzz target found in the packages given")
		os.Exit(1)
	}
	failed := 0
	begin, overhead := time.Now(), time.Duration(0)
	for i, t := range targets {
		d := *each
		if d == 0 {
			// What is left of the time, by what is left of the targets; building them takes its part.
			d = max((*total-time.Since(begin))/time.Duration(len(targets)-i)-overhead, least)
		}
		started := time.Now()
		fmt.Printf("%s %s for %s\n", t.pkg, t.name, d)
		// Seeds with fresh keys never run the same way twice: by default the fuzzer would
		// spend a minute on each, in search of a smaller one.
		cmd := exec.Command("go", "test", "-fuzzminimizetime", "20x", "-tags", *tags, "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", d.String(), t.pkg)
		out, err := cmd.CombinedOutput()
		overhead = max(time.Since(started)-d, 0)
		if err != nil && !outOfTime(string(out)) {
			failed++
			fmt.Printf("%s\n--- FAIL %s %s: %v\n", out, t.pkg, t.name, err)
		}
	}
	fmt.Printf("%d passed, %d failed\n", len(targets)-failed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// outOfTime: now and then `go test -fuzz` calls the end of its own time a failure: nothing
// but "context deadline exceeded" below the target's name, and no failing input. An input
// that fails, or hangs, is written down and named.
func outOfTime(out string) bool {
	_, after, found := strings.Cut(out, "--- FAIL: Fuzz")
	_, after, _ = strings.Cut(after, "\n")
	first, _, _ := strings.Cut(after, "\n")
	return found && strings.TrimSpace(first) == "context deadline exceeded" && !strings.Contains(out, "Failing input")
}

// find asks the test binaries for their fuzz targets.
func find(tags string, pkgs []string) ([]target, error) {
	args := append([]string{"test", "-tags", tags, "-list", "^Fuzz"}, pkgs...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -list: %w", err)
	}
	var targets []target
	var names []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && strings.HasPrefix(f[0], "Fuzz"):
			names = append(names, f[0])
		case len(f) >= 2 && f[0] == "ok":
			for _, n := range names {
				targets = append(targets, target{f[1], n})
			}
			names = nil
		}
	}
	return targets, nil
}
