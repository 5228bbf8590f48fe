package nativehost

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Ids of the published Web eID extension: Chrome's store, Edge's store, Mozilla's.
const (
	ChromeID  = "ncibgoaomkmdpilpocfeponihegamlic"
	EdgeID    = "gnmckgbandlkacikdndelhfghdejfido"
	FirefoxID = "{e68418bc-f2b0-4459-a9ea-3e72b6751b07}"
)

// ErrCaller means that it was not the published extension that started this program: an
// origin from anybody else would be worth nothing.
var ErrCaller = errors.New("nativehost: not started by the Web eID extension")

const chromeScheme = "chrome-extension://"

// Called tells whether a program's arguments are those with which browsers start a
// native messaging host, whoever the extension is. Manifests name a program without
// arguments, so this is how the agent knows.
func Called(args []string) bool {
	return len(args) > 0 && (strings.HasPrefix(args[0], chromeScheme) || len(args) == 2 && isManifest(args[0]))
}

// CheckCaller accepts the published extension alone. Browsers made of Chromium give the
// extension's origin as the first argument (on Windows a window's handle follows, which
// the flags took), Firefox the manifest's path and the extension's id. A browser in a
// sandbox (Snap, Flatpak) starts its host through a portal that gives neither: refused.
func CheckCaller(args []string) error {
	switch {
	case len(args) == 1 && (args[0] == chromeScheme+ChromeID+"/" || args[0] == chromeScheme+EdgeID+"/"):
		return nil
	case len(args) == 2 && isManifest(args[0]) && args[1] == FirefoxID:
		return nil
	case len(args) == 0:
		return fmt.Errorf("%w: no extension named itself", ErrCaller)
	}
	return fmt.Errorf("%w: %.80q", ErrCaller, args)
}

func isManifest(name string) bool {
	return path.Base(strings.ReplaceAll(name, `\`, "/")) == ManifestName || path.Base(strings.ReplaceAll(name, `\`, "/")) == firefoxManifest
}
