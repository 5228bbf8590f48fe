// Command lists makes trusted lists of a test PKI (see the command token): a LOTL with a
// pivot, and Italy's list, with the certificate of who signs the first pivot beside
// them: `go run ./testdata/cmd/lists -pki build/token/pki -out DIR`, then
// `verify --lotl DIR/eu-lotl.xml --lotl-signer DIR/signer.pem`.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// exitUsage is EX_USAGE of sysexits.h: the command line was wrong.
const exitUsage = 64

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("lists", flag.ContinueOnError)
	flags.SetOutput(errs)
	from := flags.String("pki", "", "folder of a test PKI; a new one is made there when it is empty")
	to := flags.String("out", "", "folder for the lists")
	base := flags.String("base", "https://lists.example", "address that the lists say they are at")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	if *from == "" || *to == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(errs, "lists: -pki and -out are needed")
		return exitUsage
	}
	name, err := write(*from, *to, *base)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "lists:", err)
		return 1
	}
	_, _ = fmt.Fprintln(out, name)
	return 0
}

func write(from, to, base string) (string, error) {
	p, err := pki.Load(from)
	if errors.Is(err, fs.ErrNotExist) {
		if p, err = pki.New(); err == nil {
			err = p.Save(from)
		}
	}
	if err != nil {
		return "", err
	}
	scene, err := lists.NewScene(p, base)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(to, "signer.pem"), pki.EncodePEM(scene.Official.Cert), 0o600); err != nil {
		return "", err
	}
	return scene.Write(to)
}
