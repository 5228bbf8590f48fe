// Package assets holds what the pages are dressed with: the style sheet, fonts,
// icons and scripts that server/assets/build put into dist, embedded into the
// program. Every address carries a hash over the whole of them, in a segment of
// its own so that the addresses inside the style sheets, which are relative,
// stay true; what lies under such an address never changes and is kept by
// browsers for a year (RFC 8246, HTTP Immutable Responses).
//
// The pages need no exception in their Content-Security-Policy for any of it:
//
//	default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'
package assets

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"sync"
)

//go:embed all:dist
var embedded embed.FS

// ErrNotBuilt is given by Check, and shown by Handler, when the program was
// compiled before the assets were built.
var ErrNotBuilt = errors.New("the pages' assets are not built: run make assets, then build again")

// Names of what pages use, for URL. A script of the project's own, from
// server/portal/src/NAME.ts, is "app/NAME.js".
const (
	// Style is the style sheet of Bootstrap Italia.
	Style = "css/bootstrap-italia.min.css"
	// Fonts is the style sheet that declares the fonts of Style.
	Fonts = "css/fonts.css"
	// Sprites holds the icons: <use href="URL#it-user">.
	Sprites = "svg/sprites.svg"
	// Dropdown is a module (script type="module") with the behaviour of menus.
	Dropdown = "js/dropdown.js"
	// Bundle is the whole behaviour of Bootstrap Italia (1 MB). Its font loader
	// and its video player want more than a strict policy allows; pages take
	// Dropdown.
	Bundle = "js/bootstrap-italia.bundle.min.js"
)

// built is the tree of the embedded files, read once.
var built = sync.OnceValue(func() *tree {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(err) // only a malformed constant name can bring this
	}
	return newTree(dist)
})

// Check tells whether the assets are there: nil or ErrNotBuilt. A server asks at
// its start.
func Check() error { return built().check() }

// Has tells whether there is an asset of this name, such as "app/login.js".
func Has(name string) bool { return built().files[name] != nil }

// URL gives the address of an asset, "/assets/<hash>/css/bootstrap-italia.min.css".
// The name's presence is not checked, see Has.
func URL(name string) string { return built().url(name) }

// Handler serves every address URL gives, and answers all else under /assets/
// with 404 Not Found, or with 503 and ErrNotBuilt while there are no assets.
func Handler() http.Handler { return built() }
