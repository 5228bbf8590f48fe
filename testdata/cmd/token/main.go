// Command token makes a SoftHSM token with the card of a test citizen on it and
// prints what a tester needs to use it: `make token CF=... KIND=...`.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

// exitUsage is EX_USAGE of sysexits.h: the command line was wrong.
const exitUsage = 64

// kinds a tester can ask for.
var kinds = []pki.Kind{pki.CNS, pki.CIE, pki.Qualified, pki.Expired, pki.Revoked}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	flags.SetOutput(errs)
	cf := flags.String("cf", "", "codice fiscale of the holder (empty: the first test citizen)")
	kind := flags.String("kind", string(pki.CNS), "kind of card: "+kindList())
	dir := flags.String("dir", filepath.Join("build", "token"), "folder for the test PKI and the token")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	usage := func(format string, a ...any) int {
		_, _ = fmt.Fprintf(errs, "token: "+format+"\n", a...)
		return exitUsage
	}
	if flags.NArg() > 0 {
		return usage("%q is not understood; see -help", flags.Arg(0))
	}
	if !slices.Contains(kinds, pki.Kind(*kind)) {
		return usage("the kind %q is not one of %s", *kind, kindList())
	}
	who := pki.Citizens[0]
	if *cf != "" {
		if _, err := profile.ParseCodiceFiscale(strings.ToUpper(*cf)); err != nil {
			return usage("the codice fiscale %q is not valid: %v", *cf, err)
		}
		who = pki.Anybody(*cf)
	}
	if err := makeToken(out, *dir, pki.Kind(*kind), who); err != nil {
		_, _ = fmt.Fprintln(errs, "token:", err)
		return 1
	}
	return 0
}

func kindList() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func makeToken(out io.Writer, dir string, kind pki.Kind, who pki.Person) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// SoftHSM first: without it there is nothing to make.
	store, err := softhsm.New(filepath.Join(dir, "softhsm"))
	if err != nil {
		return err
	}
	p, err := pki.LoadOrNew(filepath.Join(dir, "pki"))
	if err != nil {
		return err
	}
	id, err := p.Issue(kind, pki.RSA2048, who)
	if err != nil {
		return err
	}
	// A revoked certificate has to be on the list that the next run loads.
	if err := p.Save(filepath.Join(dir, "pki")); err != nil {
		return err
	}
	issuer := p.Issuer(kind)
	list, err := p.CRL(issuer)
	if err != nil {
		return err
	}
	// The issuer goes along: the anchor of a profile is the issuing CA, the one of
	// openssl the root.
	anchors := append(p.AnchorsPEM(), p.AnchorsPEM(kind)...)
	ca, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.crl")
	if err := errors.Join(os.WriteFile(ca, anchors, 0o600), os.WriteFile(crl, list, 0o600)); err != nil {
		return err
	}
	slot, err := replace(store, filepath.Join(dir, "tokens.json"), softhsm.Token{
		Label: string(kind) + " " + who.CF, Identities: []*pki.Identity{id}, Chain: true,
	})
	if err != nil {
		return err
	}
	for _, line := range [][2]string{
		{"holder", who.Given + " " + who.Surname + " " + who.CF},
		{"kind", string(kind)},
		{"module", store.Module()},
		{"slot", fmt.Sprint(slot.ID)},
		{"label", slot.Label},
		{"PIN", slot.PIN},
		{"environment", strings.Join(store.Env(), " ")},
		{"anchor", ca},
		{"CRL", crl},
	} {
		if _, err := fmt.Fprintf(out, "%-12s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

// replace adds a token in place of the one of an earlier run with the same label:
// two that look alike would make a tester choose blindly.
func replace(store *softhsm.Store, file string, t softhsm.Token) (softhsm.Slot, error) {
	known := map[string]softhsm.Slot{}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return softhsm.Slot{}, err
	}
	if old, ok := known[t.Label]; ok {
		if err := store.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return softhsm.Slot{}, err
		}
	}
	slot, err := store.Add(t)
	if err != nil {
		return slot, err
	}
	known[t.Label] = slot
	if data, err = json.MarshalIndent(known, "", "  "); err != nil {
		return slot, err
	}
	return slot, os.WriteFile(file, data, 0o600)
}
