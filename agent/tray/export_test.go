package tray

// Icon is what a state looks like.
func Icon(s State) []byte { return icon(s) }
