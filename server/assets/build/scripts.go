package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// Where the project's page scripts come from: what server/portal and server/console
// write for their pages, and the client of the agent that they import as
// "@citel/client". All are read as files; no Go package of the agent is imported.
const (
	portal  = "server/portal/src"
	console = "server/console/src"
	client  = "agent/client/src/index.ts"
)

// addScripts bundles each page script into app/NAME.js.
func addScripts(out *output) error {
	entries, err := pageScripts()
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	return bundle(out, dist+"/app", entries)
}

// pageScripts lists the entry points: every .ts file directly in the source folders of
// portal and console. Shared code lies in folders below, tests are NAME.test.ts.
func pageScripts() ([]string, error) {
	all, err := filepath.Glob(portal + "/*.ts")
	if err != nil {
		return nil, err
	}
	desk, err := filepath.Glob(console + "/*.ts")
	if err != nil {
		return nil, err
	}
	all = append(all, desk...)
	var entries []string
	for _, name := range all {
		if strings.HasSuffix(name, ".d.ts") || strings.HasSuffix(name, ".test.ts") {
			continue
		}
		entries = append(entries, filepath.ToSlash(name))
	}
	return entries, nil
}

func bundle(out *output, dir string, entries []string) error {
	// Each becomes DIR/NAME.js, wherever it lies.
	points := make([]api.EntryPoint, len(entries))
	for i, name := range entries {
		points[i] = api.EntryPoint{InputPath: name, OutputPath: strings.TrimSuffix(filepath.Base(name), ".ts")}
	}
	options := api.BuildOptions{
		EntryPointsAdvanced: points,
		Bundle:              true,
		Outdir:              dir,
		Format:              api.FormatESModule,
		Platform:            api.PlatformBrowser,
		Target:              api.ES2021,
		MinifyWhitespace:    true,
		MinifySyntax:        true,
		MinifyIdentifiers:   true,
		// Licence comments of libraries stay with their code.
		LegalComments: api.LegalCommentsEndOfFile,
		Charset:       api.CharsetUTF8,
		NodePaths:     []string{modules},
		LogLevel:      api.LogLevelWarning,
	}
	if _, err := os.Stat(client); err == nil {
		path, err := filepath.Abs(client)
		if err != nil {
			return err
		}
		options.Alias = map[string]string{"@citel/client": path}
	}
	result := api.Build(options)
	if len(result.Errors) > 0 {
		return errors.New("esbuild: the scripts above do not build")
	}
	root, err := filepath.Abs(out.dir)
	if err != nil {
		return err
	}
	for _, f := range result.OutputFiles {
		name, err := filepath.Rel(root, f.Path)
		if err != nil {
			return err
		}
		out.add(filepath.ToSlash(name), f.Contents)
	}
	return nil
}
