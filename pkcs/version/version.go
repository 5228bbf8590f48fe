// Package version holds the version that the linker writes into both programs.
package version

// Version is set by -ldflags "-X"; a plain `go build` leaves "devel".
var Version = "devel"
