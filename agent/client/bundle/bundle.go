// Package bundle packs the page's side of CiTel for portals that use no bundler
// of their own.
package bundle

import (
	"errors"
	"fmt"

	"github.com/evanw/esbuild/pkg/api"
)

// Build writes citel.js, an ES module, and citel-iife.js, which defines the name
// CiTel, into a folder. It runs from the repository's root.
func Build(out string) error {
	for name, format := range map[string]api.Format{"citel": api.FormatESModule, "citel-iife": api.FormatIIFE} {
		r := api.Build(api.BuildOptions{
			EntryPoints: []string{"agent/client/src/index.ts"}, Outfile: out + "/" + name + ".js", Bundle: true, Write: true,
			Format: format, GlobalName: "CiTel", Target: api.ES2022, Platform: api.PlatformBrowser, LogLevel: api.LogLevelWarning,
		})
		if len(r.Errors) > 0 {
			return fmt.Errorf("bundle: %w", errors.New(r.Errors[0].Text))
		}
	}
	return nil
}
