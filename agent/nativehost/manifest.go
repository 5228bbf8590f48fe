package nativehost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Names of what browsers look for. Firefox's manifest has another content, and on
// Windows, where the registry names the file, another name.
const (
	HostName        = "eu.webeid"
	ManifestName    = HostName + ".json"
	firefoxManifest = HostName + ".firefox.json"
)

// description marks a manifest as ours, whatever the program's path was when it was
// written.
const description = "CiTel, for the Web eID extension"

const maxManifest = 64 << 10

// manifest is a native messaging manifest (developer.chrome.com, Native messaging host;
// developer.mozilla.org, Native manifests).
type manifest struct {
	Name              string   `json:"name"`
	Description       string   `json:"description"`
	Path              string   `json:"path"`
	Type              string   `json:"type"`
	AllowedOrigins    []string `json:"allowed_origins,omitempty"`
	AllowedExtensions []string `json:"allowed_extensions,omitempty"`
}

// State of one browser.
type State string

// States.
const (
	On    State = "on"    // our manifest, for this program
	Stale State = "stale" // our manifest, for a program that is somewhere else
	Off   State = "off"
	Other State = "other" // another program's, for this user or for the whole computer
)

// Registration is what one browser finds.
type Registration struct {
	Browser string `json:"browser"`
	File    string `json:"file"`
	State   State  `json:"state"`
	// Program of another's manifest, where it says so.
	Program string `json:"program,omitempty"`
}

// ErrOther means that a manifest is not ours: it is left alone.
var ErrOther = errors.New("nativehost: another program's manifest")

// Manifests are those of one user.
type Manifests struct {
	Program string // this program's absolute path
	Home    string // the user's folder
	Config  string // the folder of the user's settings (os.UserConfigDir)
	Root    string // "/", where the whole computer's manifests are looked for
	// Files is where the manifests are on Windows, whose registry names them.
	Files string
}

// browser is where one looks. Those of Linux and macOS look in folders, the user's
// first; those of Windows in the registry.
type browser struct {
	name    string
	folder  string   // the user's; empty on Windows
	system  []string // the whole computer's
	key     string   // below HKEY_CURRENT_USER and HKEY_LOCAL_MACHINE
	firefox bool
}

func (m *Manifests) browsers() []browser {
	in := func(parts ...string) string { return filepath.Join(append([]string{m.Config}, parts...)...) }
	const hosts = "NativeMessagingHosts"
	switch runtime.GOOS {
	case "windows":
		return []browser{
			{name: "Chrome", key: `Software\Google\Chrome\` + hosts}, {name: "Chromium", key: `Software\Chromium\` + hosts},
			{name: "Edge", key: `Software\Microsoft\Edge\` + hosts}, {name: "Brave", key: `Software\BraveSoftware\Brave-Browser\` + hosts},
			{name: "Vivaldi", key: `Software\Vivaldi\` + hosts}, {name: "Firefox", key: `Software\Mozilla\` + hosts, firefox: true},
		}
	case "darwin":
		return []browser{
			{name: "Chrome", folder: in("Google", "Chrome", hosts), system: []string{"Library/Google/Chrome/" + hosts}},
			{name: "Chromium", folder: in("Chromium", hosts), system: []string{"Library/Application Support/Chromium/" + hosts}},
			{name: "Edge", folder: in("Microsoft Edge", hosts), system: []string{"Library/Microsoft/Edge/" + hosts}},
			{name: "Brave", folder: in("BraveSoftware", "Brave-Browser", hosts)},
			{name: "Vivaldi", folder: in("Vivaldi", hosts)},
			{name: "Firefox", folder: in("Mozilla", hosts), system: []string{"Library/Application Support/Mozilla/" + hosts}, firefox: true},
		}
	}
	return []browser{
		{name: "Chrome", folder: in("google-chrome", hosts), system: []string{"etc/opt/chrome/native-messaging-hosts"}},
		{name: "Chromium", folder: in("chromium", hosts), system: []string{"etc/chromium/native-messaging-hosts"}},
		{name: "Edge", folder: in("microsoft-edge", hosts), system: []string{"etc/opt/edge/native-messaging-hosts"}},
		{name: "Brave", folder: in("BraveSoftware", "Brave-Browser", hosts), system: []string{"etc/opt/chrome/native-messaging-hosts"}},
		{name: "Vivaldi", folder: in("vivaldi", hosts), system: []string{"etc/opt/vivaldi/native-messaging-hosts"}},
		{name: "Firefox", folder: filepath.Join(m.Home, ".mozilla", "native-messaging-hosts"), firefox: true,
			system: []string{"usr/lib/mozilla/native-messaging-hosts", "usr/lib64/mozilla/native-messaging-hosts", "usr/share/mozilla/native-messaging-hosts"}},
	}
}

// content is what a browser has to find.
func (m *Manifests) content(b browser) ([]byte, error) {
	v := manifest{Name: HostName, Description: description, Path: m.Program, Type: "stdio"}
	if b.firefox {
		v.AllowedExtensions = []string{FirefoxID}
	} else {
		v.AllowedOrigins = []string{chromeScheme + ChromeID + "/", chromeScheme + EdgeID + "/"}
	}
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// Status tells what every browser finds. Nothing is changed.
func (m *Manifests) Status() ([]Registration, error) {
	return m.each(func(browser, *Registration) error { return nil })
}

// On writes the manifests that are not there. Another program's manifest stays, also one
// for the whole computer, which ours would put in the shade: ErrOther.
func (m *Manifests) On() ([]Registration, error) {
	return m.each(func(b browser, r *Registration) error {
		if r.State == Other {
			return fmt.Errorf("%w: %s: %s", ErrOther, b.name, r.File)
		}
		data, err := m.content(b)
		if err == nil {
			_, missing := os.Lstat(r.File)
			err = place(r.File, data, errors.Is(missing, fs.ErrNotExist))
		}
		if err == nil && b.folder == "" {
			err = setRegistry(b.key, r.File)
		}
		if err == nil {
			r.State = On
		}
		return err
	})
}

// Off takes our manifests away, and folders that are empty then.
func (m *Manifests) Off() ([]Registration, error) {
	return m.each(func(b browser, r *Registration) error {
		if r.State != On && r.State != Stale {
			return nil
		}
		if b.folder == "" {
			if err := dropRegistry(b.key); err != nil {
				return err
			}
		}
		if err := os.Remove(r.File); err != nil && !(b.folder == "" && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("nativehost: %w", err) // on Windows several browsers share a file
		}
		for dir := filepath.Dir(r.File); dir != m.Config && dir != m.Home && len(dir) > len(m.Home); dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil {
				break // not empty: a browser's own
			}
		}
		r.State = Off
		return nil
	})
}

// each looks at every browser and does something; one that fails stops no other.
func (m *Manifests) each(do func(browser, *Registration) error) ([]Registration, error) {
	var list []Registration
	var failures []error
	for _, b := range m.browsers() {
		r, err := m.look(b)
		if err == nil {
			err = do(b, &r)
		}
		if err != nil {
			failures = append(failures, err)
		}
		list = append(list, r)
	}
	return list, errors.Join(failures...)
}

func (m *Manifests) look(b browser) (Registration, error) {
	r := Registration{Browser: b.name, State: Off}
	if b.folder != "" {
		r.File = filepath.Join(b.folder, ManifestName)
	} else {
		r.File = filepath.Join(m.Files, ManifestName)
		if b.firefox {
			r.File = filepath.Join(m.Files, firefoxManifest)
		}
		return m.lookInRegistry(b, r)
	}
	state, program, err := m.judge(r.File, b)
	if err != nil || state != Off {
		r.State, r.Program = state, program
		return r, err
	}
	for _, dir := range b.system {
		file := filepath.Join(m.Root, filepath.FromSlash(dir), ManifestName)
		// Ours for the whole computer serves; anybody else's is not for us to hide.
		state, program, err := m.judge(file, b)
		if err == nil && state == Other {
			return Registration{Browser: b.name, File: file, State: Other, Program: program}, nil
		}
	}
	return r, nil
}

// lookInRegistry: several browsers share a file there; each has its own key.
func (m *Manifests) lookInRegistry(b browser, r Registration) (Registration, error) {
	named, err := registry(b.key)
	if err != nil {
		return r, err
	}
	if named != "" && named != r.File {
		switch state, program, err := m.judge(named, b); state {
		case Other:
			r.File, r.State, r.Program = named, Other, program
			return r, err
		case On, Stale: // ours, from another folder of settings
			r.State, r.Program = Stale, program
			return r, err
		}
		named = "" // it leads nowhere
	}
	state, program, err := m.judge(r.File, b)
	switch {
	case state == Other:
		r.State, r.Program = Other, program
	case named == "":
		r.State = Off
	case state == Off: // our key, and its file has gone
		r.State = Stale
	default:
		r.State, r.Program = state, program
	}
	return r, err
}

// judge reads one manifest. What cannot be read as one of ours is another's.
func (m *Manifests) judge(file string, b browser) (State, string, error) {
	st, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Off, "", nil
	}
	if err != nil {
		return Other, "", fmt.Errorf("nativehost: %w", err)
	}
	if st.Size() > maxManifest {
		return Other, "", nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // a place that browsers read
	if err != nil {
		return Other, "", nil //nolint:nilerr // a link to nowhere, or somebody else's file
	}
	var v manifest
	if json.Unmarshal(data, &v) != nil || v.Name != HostName || v.Description != description || !st.Mode().IsRegular() {
		return Other, v.Path, nil
	}
	if want, err := m.content(b); err != nil || !bytes.Equal(want, data) {
		return Stale, v.Path, err
	}
	return On, v.Path, nil
}

// place writes a file whole or not at all; fresh: it must not be there yet.
func place(file string, data []byte, fresh bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("nativehost: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".citel-*")
	if err != nil {
		return fmt.Errorf("nativehost: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil { //nolint:gosec // it holds no secret, and browsers read it
		return fmt.Errorf("nativehost: %w", err)
	}
	if fresh {
		if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %s", ErrOther, file) // written since we looked
		}
		if err == nil {
			return nil
		}
		// A file system without links.
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("nativehost: %w", err)
	}
	return nil
}
