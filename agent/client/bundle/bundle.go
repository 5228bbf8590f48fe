// Package bundle packs the page's side of CiTel for portals that use no bundler
// of their own.
package bundle

import (
	"errors"
	"fmt"

	"github.com/evanw/esbuild/pkg/api"
)

// modules are what gets packed: a source, the file's name, and the name it defines where
// a page loads no modules.
var modules = []struct{ source, name, global string }{
	{"agent/client/src/index.ts", "citel", "CiTel"},
	{"agent/client/web-eid/web-eid.ts", "web-eid", "webeid"},
}

// Build writes citel.js and web-eid.js, ES modules, and citel-iife.js and
// web-eid-iife.js, which define the names CiTel and webeid, into a folder. It runs from
// the repository's root.
func Build(out string) error {
	for _, m := range modules {
		for suffix, format := range map[string]api.Format{"": api.FormatESModule, "-iife": api.FormatIIFE} {
			r := api.Build(api.BuildOptions{
				EntryPoints: []string{m.source}, Outfile: out + "/" + m.name + suffix + ".js", Bundle: true, Write: true,
				Format: format, GlobalName: m.global, Target: api.ES2022, Platform: api.PlatformBrowser, LogLevel: api.LogLevelWarning,
			})
			if len(r.Errors) > 0 {
				return fmt.Errorf("bundle: %w", errors.New(r.Errors[0].Text))
			}
		}
	}
	return nil
}
