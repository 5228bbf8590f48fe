package portal

// Patterns are the router's addresses.
func Patterns() []string {
	out := make([]string, 0, len(routes))
	for _, x := range routes {
		out = append(out, x.pattern)
	}
	return out
}
