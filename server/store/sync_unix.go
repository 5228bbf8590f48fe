//go:build !windows

package store

import (
	"errors"
	"os"
)

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder of ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
