package main

import (
	"io/fs"
	"os"
	"testing"
)

func TestInstalledModules(t *testing.T) {
	there := map[string]bool{"/usr/lib/bit4id/libbit4xpki.so": true, "/usr/lib/libbit4xpki.so": true, "/usr/local/lib/libcie-pkcs11.so": true}
	list := installedModules(knownModules["linux"], func(name string) (fs.FileInfo, error) {
		if there[name] {
			return nil, nil //nolint:nilnil // nobody looks at it
		}
		return nil, os.ErrNotExist
	})
	if len(list) != 2 || list[0].Path != "/usr/lib/libbit4xpki.so" || list[1].Name != "CIE" {
		t.Errorf("%v", list)
	}
	for system, table := range knownModules {
		seen := map[string]bool{}
		for _, f := range table {
			for _, p := range f.paths {
				if seen[p] {
					t.Errorf("%s: %s twice", system, p)
				}
				seen[p] = true
			}
		}
	}
}
