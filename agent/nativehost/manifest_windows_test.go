package nativehost

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	winregistry "golang.org/x/sys/windows/registry"
)

// On Windows the registry names the manifests.
func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	m := &Manifests{Program: `C:\Program Files\CiTel\citel-agent.exe`, Home: dir, Config: dir, Root: `C:\`, Files: filepath.Join(dir, "native")}
	const theirs = `Software\Google\Chrome\NativeMessagingHosts`
	other := filepath.Join(dir, "web-eid.json")
	clean := func() {
		for _, b := range m.browsers() {
			_ = dropRegistry(b.key)
		}
	}
	clean()
	t.Cleanup(clean)
	if err := errors.Join(os.WriteFile(other, []byte(`{"name":"eu.webeid","path":"web-eid.exe"}`), 0o600), setRegistry(theirs, other)); err != nil {
		t.Fatal(err)
	}
	list, err := m.On()
	if !errors.Is(err, ErrOther) || list[0].State != Other || list[2].State != On || list[5].State != On {
		t.Fatalf("%+v %v", list, err)
	}
	for _, key := range []string{`Software\Microsoft\Edge\NativeMessagingHosts`, `Software\Mozilla\NativeMessagingHosts`} {
		file, err := registry(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if list, err = m.Status(); err != nil || list[2].State != On || list[5].State != On {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = m.Off(); err != nil || list[0].State != Other || list[2].State != Off {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := winregistry.OpenKey(winregistry.CURRENT_USER, `Software\Mozilla\NativeMessagingHosts\`+HostName, winregistry.QUERY_VALUE); !errors.Is(err, winregistry.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	if file, err := registry(theirs); err != nil || file != other {
		t.Errorf("another program's entry went: %q %v", file, err)
	}
	if left, _ := os.ReadDir(m.Files); len(left) != 0 {
		t.Errorf("%v", left)
	}
}
