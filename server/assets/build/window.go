package main

import "os"

// window writes what the agent's window shows: the same look, its own script, and
// pdf.js, which draws documents from the very bytes that get signed.
func window() error {
	if _, err := os.Stat(winHome + "/src"); err != nil {
		return nil
	}
	out := newOutput(winHome + "/dist")
	if err := addLook(out); err != nil {
		return err
	}
	if err := bundle(out, winHome+"/dist/app", []string{winHome + "/src/window.ts", winHome + "/src/review.ts", winHome + "/src/pin.ts", winHome + "/src/hand.ts"}); err != nil {
		return err
	}
	own, err := os.ReadFile(winHome + "/src/window.css")
	if err != nil {
		return err
	}
	out.add("css/window.css", own)
	const pdfjs = modules + "/pdfjs-dist"
	for name, from := range map[string]string{
		"pdfjs/pdf.worker.mjs": "legacy/build/pdf.worker.min.mjs",
		"licences/pdfjs.txt":   "LICENSE",
	} {
		if err := out.copy(name, pdfjs+"/"+from); err != nil {
			return err
		}
	}
	fonts, err := os.ReadDir(pdfjs + "/standard_fonts")
	if err != nil {
		return err
	}
	for _, f := range fonts {
		if err := out.copy("pdfjs/fonts/"+f.Name(), pdfjs+"/standard_fonts/"+f.Name()); err != nil {
			return err
		}
	}
	return out.flush()
}
