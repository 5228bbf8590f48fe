package lists_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/xmldsig"
)

// What was loaded stays when nothing can be had any more, over a restart too.
func TestKept(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.serve(t, scene)
	dir := t.TempDir()
	l := loader(scene, dir)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := web.count("TSL-IT.xml")
	if err := l.Refresh(t.Context()); err != nil || web.count("TSL-IT.xml") != before {
		t.Errorf("asked again although nothing is due: %v", err)
	}
	web.mu.Lock()
	web.down = true
	web.mu.Unlock()
	for _, ask := range []bool{false, true} {
		again := loader(scene, dir)
		refresh := again.Load
		if ask {
			refresh = again.Refresh
		}
		if err := refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(again.Store.Anchors()); n != 4 {
			t.Errorf("%d anchors", n)
		}
	}
	// A kept copy is judged again: one that was changed on the disk does not count.
	all, err := filepath.Glob(filepath.Join(dir, "IT-*.xml"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	data, err := os.ReadFile(all[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(all[0], []byte(strings.Replace(string(data), "CiTel TEST CNS CA", "CiTel TEST CNS CB", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	again := loader(scene, dir)
	if err := again.Load(t.Context()); !errors.Is(err, xmldsig.ErrDigest) || len(again.Store.Anchors()) != 0 {
		t.Errorf("%v, %d anchors", err, len(again.Store.Anchors()))
	}
}

// The .sha2 file beside a list spares the download while it tells the same.
func TestSHA2(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.serve(t, scene)
	dir := t.TempDir()
	if err := loader(scene, dir).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(web.files["TSL-IT.xml"]))
	for i, text := range []string{hex.EncodeToString(sum[:]) + "\n", string(sum[:]), "0000"} {
		web.files["TSL-IT.sha2"] = text
		old := time.Now().Add(-12 * time.Hour)
		all, err := filepath.Glob(filepath.Join(dir, "IT-*.xml"))
		if err != nil || len(all) != 1 {
			t.Fatalf("%v %v", all, err)
		}
		if err := os.Chtimes(all[0], old, old); err != nil {
			t.Fatal(err)
		}
		before := web.count("TSL-IT.xml")
		if err := loader(scene, dir).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if asked := web.count("TSL-IT.xml") - before; asked != i/2 {
			t.Errorf("%q: the list was asked for %d times", text, asked)
		}
	}
}
