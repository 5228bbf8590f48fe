// Command citel-window shows one window for citel-agent, which starts it and talks
// to it over standard input and output. It is of no use by itself.
package main

import (
	"fmt"
	"os"

	"github.com/citel-pa/citel/agent/window"
)

func main() {
	in, out, err := pipes()
	if err == nil {
		err = window.Run(in, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "citel-window:", err)
		os.Exit(1)
	}
}
