package main

// noCoreDumps: Windows writes no dumps of programs that did not ask for it.
func noCoreDumps() {}
