package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/citel-pa/citel/installer"
)

// manual makes a man page of what a program says about itself: its own help is the
// one home of these sentences. man(7), groff.
func manual(ctx context.Context, name, program, lang string, r installer.Release) ([]byte, error) {
	words := map[string][5]string{
		"en": {"NAME", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "CiTel manual"},
		"it": {"NOME", "DESCRIZIONE", "COMANDI", "STATO DI USCITA", "Manuale di CiTel"},
	}[lang]
	exits := map[string][]string{
		"en": {"0 done or valid", "1 invalid or refused", "2 could not be decided", "64 wrong usage", "69 a component is missing", "74 input or output failed"},
		"it": {"0 fatto o valido", "1 non valido o rifiutato", "2 non si può decidere", "64 uso errato", "69 manca un componente", "74 lettura o scrittura non riuscita"},
	}[lang]
	help, err := ask(ctx, program, lang, "--help")
	if err != nil {
		return nil, err
	}
	intro, commands := split(string(help))
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 %s \"CiTel %s\" \"%s\"\n", strings.ToUpper(name), r.Date.UTC().Format("2006-01-02"), roff(r.Number()), words[4])
	summary, _, _ := strings.Cut(strings.TrimSpace(intro), "\n")
	fmt.Fprintf(&b, ".SH %s\n%s \\- %s\n", words[0], roff(name), roff(strings.TrimSuffix(summary, ".")))
	fmt.Fprintf(&b, ".SH %s\n", words[1])
	verbatim(&b, intro)
	fmt.Fprintf(&b, ".SH %s\n", words[2])
	if err := chapters(ctx, &b, name, program, lang, nil, commands); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, ".SH %s\n", words[3])
	for _, e := range exits {
		code, text, _ := strings.Cut(e, " ")
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", code, roff(text))
	}
	return []byte(b.String()), nil
}

func chapters(ctx context.Context, b *strings.Builder, name, program, lang string, path, commands []string) error {
	if len(path) > 3 {
		return fmt.Errorf("%s: commands below commands without end", strings.Join(path, " "))
	}
	for _, c := range commands {
		if c == "help" || c == "completion" {
			continue
		}
		here := append(append([]string(nil), path...), c)
		help, err := ask(ctx, program, lang, append(here, "--help")...)
		if err != nil {
			return err
		}
		text, below := split(string(help))
		fmt.Fprintf(b, ".SS %s\n", roff(name+" "+strings.Join(here, " ")))
		verbatim(b, text)
		if err := chapters(ctx, b, name, program, lang, here, below); err != nil {
			return err
		}
	}
	return nil
}

var command = regexp.MustCompile(`^  ([a-z][a-z-]*)\s`)

// split takes the list of commands out of a help text.
func split(help string) (text string, commands []string) {
	listing := false
	var lines []string
	for _, line := range strings.Split(help, "\n") {
		switch {
		case strings.HasPrefix(line, "Available Commands:"):
			listing = true
		case listing && line == "":
			listing = false
		case listing:
			if m := command.FindStringSubmatch(line); m != nil {
				commands = append(commands, m[1])
			}
		case strings.HasPrefix(line, `Use "`):
		default:
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), commands
}

// verbatim keeps a text's own lines.
func verbatim(b *strings.Builder, text string) {
	b.WriteString(".nf\n")
	for _, line := range strings.Split(text, "\n") {
		b.WriteString(roff(line) + "\n")
	}
	b.WriteString(".fi\n")
}

// roff escapes what groff would take for an instruction.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
