package autostart

// SetSystemFile stands in for the package's entry.
func SetSystemFile(path string) (restore func()) {
	before := systemFile
	systemFile = path
	return func() { systemFile = before }
}
