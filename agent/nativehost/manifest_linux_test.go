package nativehost

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func user(t *testing.T) *Manifests {
	t.Helper()
	home, root := t.TempDir(), t.TempDir()
	return &Manifests{Program: "/opt/citel/citel-agent", Home: home, Config: filepath.Join(home, ".config"), Root: root}
}

func states(list []Registration) map[string]State {
	m := map[string]State{}
	for _, r := range list {
		m[r.Browser] = r.State
	}
	return m
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// files lists everything below a folder.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	if err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if name != "." {
			list = append(list, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// The folders of Linux; those of Windows are in manifest_windows_test.go.
func TestManifestsComeAndGo(t *testing.T) {
	m := user(t)
	if _, err := m.On(); err != nil {
		t.Fatal(err)
	}
	for file, key := range map[string]string{
		".config/google-chrome/NativeMessagingHosts/eu.webeid.json":               "allowed_origins",
		".config/chromium/NativeMessagingHosts/eu.webeid.json":                    "allowed_origins",
		".config/microsoft-edge/NativeMessagingHosts/eu.webeid.json":              "allowed_origins",
		".config/BraveSoftware/Brave-Browser/NativeMessagingHosts/eu.webeid.json": "allowed_origins",
		".config/vivaldi/NativeMessagingHosts/eu.webeid.json":                     "allowed_origins",
		".mozilla/native-messaging-hosts/eu.webeid.json":                          "allowed_extensions",
	} {
		data, err := os.ReadFile(filepath.Join(m.Home, file))
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(data, &v); err != nil || v["name"] != "eu.webeid" || v["type"] != "stdio" || v["path"] != m.Program || v[key] == nil || len(v) != 5 {
			t.Errorf("%s: %v %v", file, v, err)
		}
	}
	if list, err := m.Status(); err != nil || len(list) != 6 || slices.ContainsFunc(list, func(r Registration) bool { return r.State != On }) {
		t.Errorf("%+v %v", list, err)
	}
	// The program has moved.
	m.Program = "/usr/bin/citel-agent"
	if list, err := m.Status(); err != nil || list[0].State != Stale {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := m.On(); err != nil || list[0].State != On {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := m.Off(); err != nil {
		t.Fatal(err)
	}
	if left := files(t, m.Home); !slices.Equal(left, []string{".config"}) {
		t.Errorf("left: %v", left)
	}
}

func TestOtherProgramsStay(t *testing.T) {
	const theirs = `{"name":"eu.webeid","description":"Web-eid native application","path":"/usr/bin/web-eid","type":"stdio","allowed_origins":["chrome-extension://` + ChromeID + `/"]}`
	m := user(t)
	own := filepath.Join(m.Home, ".config/google-chrome/NativeMessagingHosts/eu.webeid.json")
	whole := filepath.Join(m.Root, "etc/chromium/native-messaging-hosts/eu.webeid.json")
	broken := filepath.Join(m.Home, ".mozilla/native-messaging-hosts/eu.webeid.json")
	write(t, own, theirs)
	write(t, whole, theirs)
	write(t, broken, "{")
	link := filepath.Join(m.Home, ".config/vivaldi/NativeMessagingHosts/eu.webeid.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o700), os.Symlink(own, link)); err != nil {
		t.Fatal(err)
	}
	want := map[string]State{"Chrome": Other, "Chromium": Other, "Edge": On, "Brave": On, "Vivaldi": Other, "Firefox": Other}
	list, err := m.On()
	if got := states(list); !errors.Is(err, ErrOther) || len(got) != 6 {
		t.Fatalf("%+v %v", list, err)
	}
	for browser, state := range want {
		if got := states(list)[browser]; got != state {
			t.Errorf("%s: %s, want %s", browser, got, state)
		}
	}
	if list[0].Program != "/usr/bin/web-eid" {
		t.Errorf("%+v", list[0])
	}
	if _, err := os.Lstat(filepath.Join(m.Home, ".config/chromium")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a manifest for the whole computer was put in the shade")
	}
	if _, err := m.Off(); err != nil {
		t.Error(err)
	}
	for file, content := range map[string]string{own: theirs, whole: theirs, broken: "{", link: theirs} {
		if data, err := os.ReadFile(file); err != nil || string(data) != content {
			t.Errorf("%s: %q %v", file, data, err)
		}
	}
}
