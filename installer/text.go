package installer

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// copyright in the machine-readable form. Debian Policy, 12.5; Machine-readable
// debian/copyright file 1.0, 6 Fields.
func copyright(r Release) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: CiTel
Source: %s

Files: *
Copyright: %d CiTel authors
License: %s

License: %s
`, Homepage, r.Date.Year(), Licence, Licence)
	for _, line := range strings.Split(strings.TrimSpace(r.Licence), "\n") {
		if line = strings.TrimRight(line, " \t\r"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

var heading = regexp.MustCompile(`^## \[?v?(Unreleased|\d[^\] ]*)\]?(?: - (\d{4}-\d\d-\d\d))?`)

// changelog turns CHANGELOG.md into Debian's form. Debian Policy, 4.4 Debian
// changelog. What is not released yet belongs to the version that is being packed.
func changelog(name string, r Release) string {
	type entry struct {
		version string
		date    time.Time
		items   []string
	}
	current := entry{version: r.Number(), date: r.Date}
	var entries []entry
	flush := func() {
		if len(current.items) > 0 {
			entries = append(entries, current)
		}
	}
	for _, line := range strings.Split(r.Changelog, "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			flush()
			current = entry{version: r.Number(), date: r.Date}
			if m[1] != "Unreleased" {
				current.version = m[1]
				if d, err := time.Parse(time.DateOnly, m[2]); err == nil {
					current.date = d
				}
			}
			continue
		}
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "- "):
			current.items = append(current.items, strings.TrimPrefix(line, "- "))
		case strings.HasPrefix(line, "  ") && text != "" && len(current.items) > 0:
			current.items[len(current.items)-1] += " " + text
		}
	}
	flush()
	if len(entries) == 0 {
		entries = []entry{{version: r.Number(), date: r.Date, items: []string{"See " + Homepage}}}
	}
	var b strings.Builder
	for _, e := range entries {
		var lines []string
		for _, item := range e.items {
			lines = append(lines, wrap(item)...)
		}
		fmt.Fprintf(&b, "%s (%s) stable; urgency=medium\n\n%s\n\n -- %s  %s\n\n", name, e.version, strings.Join(lines, "\n"), Maintainer, e.date.UTC().Format(time.RFC1123Z))
	}
	return b.String()
}

// wrap keeps lines below 80 columns.
func wrap(item string) []string {
	lines := []string{"  *"}
	for _, word := range strings.Fields(item) {
		if last := len(lines) - 1; len(lines[last])+1+len(word) < 80 || len(lines[last]) <= 4 {
			lines[last] += " " + word
		} else {
			lines = append(lines, "    "+word)
		}
	}
	return lines
}

// metainfo is what software centres show. AppStream 1.0, 2.2 Desktop Applications.
func metainfo(r Release) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<component type="desktop-application">
  <id>it.citel.agent</id>
  <metadata_license>CC0-1.0</metadata_license>
  <project_license>` + Licence + `</project_license>
  <name>CiTel</name>
  <summary>Log in and sign with your Italian smart card</summary>
  <summary xml:lang="it">Accesso e firma con la carta CIE, CNS o tessera sanitaria</summary>
  <description>
    <p>CiTel reads your card, asks you in a window of its own who asks and what for, and signs logins and documents for your municipality's web pages.</p>
    <p xml:lang="it">CiTel legge la carta, chiede in una finestra propria chi domanda e perché, e firma accessi e documenti per le pagine del Comune.</p>
  </description>
  <launchable type="desktop-id">` + AppID + `.desktop</launchable>
  <url type="homepage">` + Homepage + `</url>
  <developer id="it.citel"><name>CiTel</name></developer>
  <provides><binary>citel-agent</binary><mediatype>x-scheme-handler/` + Scheme + `</mediatype></provides>
  <content_rating type="oars-1.1"/>
  <releases><release version="` + r.Number() + `" date="` + r.Date.UTC().Format(time.DateOnly) + `"/></releases>
</component>
`
}
