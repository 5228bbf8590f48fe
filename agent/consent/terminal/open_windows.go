package terminal

import "errors"

// openTTY: the console of Windows cannot be read with a deadline through
// os.File, so there is no terminal face there; the window is the face.
func openTTY() (*tty, error) {
	return nil, errors.New("not on Windows")
}
