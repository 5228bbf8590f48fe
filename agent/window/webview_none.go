//go:build !production || (!gtk3 && !windows)

package window

import (
	"errors"
	"io"
)

// Run says that this build has no web view.
func Run(io.Reader, io.Writer) error {
	return errors.New("window: built without a web view; build with -tags production,gtk3 (`make build`)")
}
