//go:build !linux

package main

import "os"

// nobodyReads: here the browser ends its host itself.
func nobodyReads(*os.File) func() bool { return nil }
