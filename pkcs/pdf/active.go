package pdf

import (
	"context"
	"fmt"
	"slices"
)

// Danger is something in a PDF that acts, hides, or changes what a reader sees.
type Danger string

// Dangers, in the order in which they are told.
const (
	Encryption Danger = "encrypted" // 7.6
	Script     Danger = "script"    // 12.6.4.17, JavaScript actions
	XFA        Danger = "xfa"       // 12.7.8, XFA forms
	Layers     Danger = "layers"    // 8.11, optional content
	Embedded   Danger = "embedded"  // 7.11.4, embedded files; 12.5.6.15
	External   Danger = "external"  // 7.11, files outside; actions that start, fetch or send
	Media      Danger = "media"     // 13, multimedia features
)

// actions by the danger that they are (12.6.4). A URI behind a link is a link and no more.
var actions = map[Name]Danger{
	"JavaScript": Script, "Launch": External, "GoToR": External, "GoToE": Embedded, "ImportData": External, "SubmitForm": External,
	"Rendition": Media, "Movie": Media, "Sound": Media, "GoTo3DView": Media, "RichMediaExecute": Media, "SetOCGState": Layers,
}

// annotations by the danger that they are (12.5.6).
var annotations = map[Name]Danger{
	"FileAttachment": Embedded, "Movie": Media, "Sound": Media, "Screen": Media, "3D": Media, "RichMedia": Media,
}

// Dangers looks at every object of the newest revision, used or not. The error is a
// failure to read; what cannot be parsed at all is ErrMalformed.
func (f *File) Dangers(ctx context.Context) ([]Danger, error) {
	if f.Encrypted() {
		return []Danger{Encryption}, nil // the rest cannot be seen
	}
	w := &walk{f: f, found: map[Danger]bool{}}
	catalog := f.Catalog()
	if f.Dict(catalog["OCProperties"]) != nil {
		w.found[Layers] = true
	}
	if d := f.Dict(catalog["OpenAction"]); f.Name(d["S"]) == "URI" {
		w.found[External] = true // an address that opens by itself
	}
	w.look(f.Trailer, 0)
	for i, n := range f.Numbers() {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		o, err := f.Get(Ref{Num: n})
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", n, err)
		}
		w.look(o, 0)
	}
	var out []Danger
	for _, d := range []Danger{Script, XFA, Layers, Embedded, External, Media} {
		if w.found[d] {
			out = append(out, d)
		}
	}
	return slices.Clip(out), nil
}

type walk struct {
	f     *File
	found map[Danger]bool
}

// look does not follow references: each object is looked at by its own number.
func (w *walk) look(o Object, depth int) {
	if depth > maxDepth {
		return
	}
	switch o := o.(type) {
	case Array:
		for _, x := range o {
			w.look(x, depth+1)
		}
	case *Stream:
		// 7.3.8.2: F in a stream's dictionary says that its data is in another file.
		if o.Dict["F"] != nil {
			w.found[External] = true
		}
		// 8.10.4, Reference XObjects: a page of another file.
		if o.Dict["Ref"] != nil && w.f.Name(o.Dict["Subtype"]) == "Form" {
			w.found[External] = true
		}
		w.look(o.Dict, depth)
	case Dict:
		w.dict(o)
		for _, x := range o {
			w.look(x, depth+1)
		}
	}
}

func (w *walk) dict(d Dict) {
	if danger, ok := actions[w.f.Name(d["S"])]; ok {
		w.found[danger] = true
	}
	if danger, ok := annotations[w.f.Name(d["Subtype"])]; ok {
		w.found[danger] = true
	}
	// JS alone is enough: readers have run scripts of actions that lack their type.
	if d["JS"] != nil || d["JavaScript"] != nil {
		w.found[Script] = true
	}
	if d["XFA"] != nil {
		w.found[XFA] = true
	}
	if d["EF"] != nil || d["EmbeddedFiles"] != nil || w.f.Name(d["Type"]) == "EmbeddedFile" {
		w.found[Embedded] = true
	}
	if t := w.f.Name(d["Type"]); t == "OCG" || t == "OCMD" {
		w.found[Layers] = true
	}
}
