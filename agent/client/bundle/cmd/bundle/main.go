// Command bundle packs agent/client; run it from the repository's root.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/citel-pa/citel/agent/client/bundle"
)

func main() {
	out := flag.String("out", "build/client", "folder to write to")
	flag.Parse()
	if err := bundle.Build(*out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
