// Package installer is the one definition of what an installation of CiTel
// consists of: programs and how they are built, files with owner and mode,
// dependencies, services, the scheme of links. Packers (installer/pack) turn it into
// .deb, .rpm, archives and .msi; tests hold what they made against it.
//
// Nothing here touches a trust store, a firewall or a home.
package installer

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Release is what is being packed.
type Release struct {
	// Version as `git describe` gives it: "v1.2.3", "v1.2.3-4-gabcdef0", "abcdef0",
	// each perhaps with "-dirty".
	Version string
	// Date is the commit's: every time in every package.
	Date time.Time
	// Changelog is CHANGELOG.md, Licence is LICENSE.
	Changelog, Licence string
}

// Number is the version as package managers compare it: digits first, and what is
// between two releases sorts after the first of them. Without a release it is a
// pre-release of 0.1.0, sorted by the commit's date.
func (r Release) Number() string {
	v, dirty := strings.CutSuffix(r.Version, "-dirty")
	number := "0.1.0~" + r.Date.UTC().Format("20060102150405") + "." + clean(v)
	if base, ok := strings.CutPrefix(v, "v"); ok && base != "" && base[0] >= '0' && base[0] <= '9' {
		number = base
		if i := strings.LastIndex(base, "-g"); i > 0 {
			if j := strings.LastIndex(base[:i], "-"); j > 0 {
				number = clean(base[:j]) + "+" + clean(base[j+1:i]) + "." + clean(base[i+2:])
			}
		}
		number = strings.Replace(number, "-", "~", 1) // v1.2.3-rc1 comes before v1.2.3
	}
	if dirty {
		number += "+dirty"
	}
	return number
}

// clean keeps what every package format allows in a version.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' {
			return r
		}
		return '.'
	}, s)
}

// Program is one Go program and how it is built for people.
type Program struct {
	Name string // without .exe
	Go   string // its package below the module
	Tags []string
	// Cgo says whether the Linux build needs it; WindowsCgo the same for Windows.
	Cgo, WindowsCgo bool
	// GUI programs of Windows open no console; WindowsOnly ones are built for it alone.
	GUI, WindowsOnly bool
	// Text programs answer --help and completion, which become man pages and
	// completion files.
	Text bool
}

// Kind says what a package manager may do with a file.
type Kind int

// Kinds of files.
const (
	Plain Kind = iota
	// Config files belong to the administrator: kept at an upgrade.
	Config
	// Doc files are documentation.
	Doc
)

// File is one file of a package.
type File struct {
	Path         string // where it is installed
	Mode         fs.FileMode
	Owner, Group string // "root" where empty
	Kind         Kind
	Only         Format // empty: of every kind of package
	// One of these is where the content comes from.
	Program string               // a built program
	Text    func(Release) string // written here
	// Ask is a text program with arguments, whose answer is the content.
	Ask []string
	// Man is a text program whose manual page this is, in Lang.
	Man, Lang string
	// Gzip: the content is compressed, without a name or a time in it.
	Gzip bool
}

// Format is a kind of package.
type Format string

// Formats with dependencies.
const (
	Deb Format = "deb"
	RPM Format = "rpm"
)

// Script is when a maintainer script runs.
type Script string

// Maintainer scripts. They never write below a home.
const (
	PostInstall Script = "postinst"
	PreRemove   Script = "prerm"
	PostRemove  Script = "postrm"
)

// Package is one package.
type Package struct {
	Name, Summary, Description, Section string
	Programs                            []Program
	Files                               []File
	// Depends by format; Libraries are what its programs link, checked by a test.
	Depends, Recommends map[Format][]string
	Scripts             map[Format]map[Script]string
	Services            []string // systemd units
	Schemes             []string // of links that start it
	// Overrides are lintian's tags that are not mended, each with its reason.
	Overrides []Override
}

// Override is one finding of lintian that stays, and why.
type Override struct{ Tag, Reason string }

// Maintainer, Homepage and Licence are the same for all packages.
const (
	Maintainer = "CiTel maintainers <citel@citel-pa.example>"
	Homepage   = "https://github.com/citel-pa/citel"
	Licence    = "EUPL-1.2"
)

// Packages are all of them.
func Packages() []Package { return []Package{Agent(), Server()} }

// Program finds a program by name.
func (p Package) Program(name string) (Program, error) {
	for _, x := range p.Programs {
		if x.Name == name {
			return x, nil
		}
	}
	return Program{}, fmt.Errorf("installer: %s has no program %s", p.Name, name)
}

// common are the files that every package has: documentation, licence, changes, and
// lintian's overrides. Debian Policy, 12.5 Copyright information, 12.7 Changelog files.
func common(p Package) []File {
	doc := "/usr/share/doc/" + p.Name
	files := []File{
		{Path: doc + "/copyright", Mode: 0o644, Kind: Doc, Text: copyright},
		{Path: doc + "/changelog.gz", Mode: 0o644, Kind: Doc, Text: func(r Release) string { return changelog(p.Name, r) }, Gzip: true},
	}
	for _, x := range p.Programs {
		if !x.Text {
			continue
		}
		files = append(files,
			File{Path: "/usr/share/man/man1/" + x.Name + ".1.gz", Mode: 0o644, Kind: Doc, Man: x.Name, Lang: "en", Gzip: true},
			File{Path: "/usr/share/man/it/man1/" + x.Name + ".1.gz", Mode: 0o644, Kind: Doc, Man: x.Name, Lang: "it", Gzip: true},
			File{Path: "/usr/share/bash-completion/completions/" + x.Name, Mode: 0o644, Ask: []string{x.Name, "completion", "bash"}},
			File{Path: "/usr/share/zsh/vendor-completions/_" + x.Name, Mode: 0o644, Only: Deb, Ask: []string{x.Name, "completion", "zsh"}},
			File{Path: "/usr/share/zsh/site-functions/_" + x.Name, Mode: 0o644, Only: RPM, Ask: []string{x.Name, "completion", "zsh"}},
			File{Path: "/usr/share/fish/vendor_completions.d/" + x.Name + ".fish", Mode: 0o644, Ask: []string{x.Name, "completion", "fish"}})
	}
	if len(p.Overrides) > 0 {
		files = append(files, File{Path: "/usr/share/lintian/overrides/" + p.Name, Mode: 0o644, Text: func(Release) string {
			var b strings.Builder
			for _, o := range p.Overrides {
				fmt.Fprintf(&b, "# %s\n%s: %s\n", o.Reason, p.Name, o.Tag)
			}
			return b.String()
		}, Only: Deb})
	}
	return files
}
