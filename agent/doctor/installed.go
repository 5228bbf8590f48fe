package doctor

import "io/fs"

// packaging is how a browser was installed; a sandbox has its own way to other
// programs.
type packaging string

const (
	ordinary packaging = "browser"
	snap     packaging = "browser-snap"
	flatpak  packaging = "browser-flatpak"
)

// installed is where browsers are. The programs themselves are looked for, not the
// commands in /usr/bin: Ubuntu's starts a snap.
var installed = []struct {
	name string
	how  packaging
	home bool // below the person's home folder
	path string
}{
	{"Firefox", ordinary, false, "usr/lib/firefox/firefox"},
	{"Firefox", ordinary, false, "usr/lib64/firefox/firefox"},
	{"Firefox ESR", ordinary, false, "usr/lib/firefox-esr/firefox-esr"},
	{"Chromium", ordinary, false, "usr/lib/chromium/chromium"},
	{"Chromium", ordinary, false, "usr/lib64/chromium-browser/chromium-browser"},
	{"Chrome", ordinary, false, "opt/google/chrome/chrome"},
	{"Edge", ordinary, false, "opt/microsoft/msedge/msedge"},
	{"Brave", ordinary, false, "opt/brave.com/brave/brave"},
	{"Vivaldi", ordinary, false, "opt/vivaldi/vivaldi"},
	{"Firefox", snap, false, "snap/firefox/current"},
	{"Chromium", snap, false, "snap/chromium/current"},
	{"Firefox", flatpak, false, "var/lib/flatpak/app/org.mozilla.firefox"},
	{"Chromium", flatpak, false, "var/lib/flatpak/app/org.chromium.Chromium"},
	{"Chrome", flatpak, false, "var/lib/flatpak/app/com.google.Chrome"},
	{"Edge", flatpak, false, "var/lib/flatpak/app/com.microsoft.Edge"},
	{"Firefox", flatpak, true, ".local/share/flatpak/app/org.mozilla.firefox"},
	{"Chromium", flatpak, true, ".local/share/flatpak/app/org.chromium.Chromium"},
	{"Chrome", flatpak, true, ".local/share/flatpak/app/com.google.Chrome"},
	{"Edge", flatpak, true, ".local/share/flatpak/app/com.microsoft.Edge"},
}

// browsers are those found, with what is special about each.
func (p *Patient) browsers() []Check {
	var list []Check
	for _, b := range installed {
		root := p.Root
		if b.home {
			root = p.Home
		}
		if root == nil {
			continue
		}
		if _, err := fs.Stat(root, b.path); err != nil {
			continue
		}
		c := Check{ID: string(b.how), State: Good, Args: map[string]string{"browser": b.name}}
		if b.how != ordinary {
			c.State = Note
		}
		list = append(list, c)
	}
	return list
}
