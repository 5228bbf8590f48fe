package attachment

import (
	"path"
	"strings"
	"unicode"
)

// TidyName makes of a stranger's file name one that is shown and downloaded: no path, no
// characters that steer, and the ending of what the file is.
func TidyName(name string, kind Kind) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._-()", r) {
			return r
		}
		return '_'
	}, name)
	for _, ext := range []string{".p7m", ".pdf", ".jpg", ".jpeg", ".png"} {
		if len(name) > len(ext) && strings.EqualFold(name[len(name)-len(ext):], ext) {
			name = name[:len(name)-len(ext)]
		}
	}
	name = strings.Trim(name, " .")
	if r := []rune(name); len(r) > 80 {
		name = string(r[:80])
	}
	if name == "" {
		name = "allegato"
	}
	return name + kind.Ext()
}
