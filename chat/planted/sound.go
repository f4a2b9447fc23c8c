//go:build !planted

// Package planted holds faults that a build with the tag planted has on purpose, one at a time, so that tests can show that they would
// be found. In any other build there is none, and asking for one costs nothing.
package planted

// Is reports whether this build has a fault: revision, ids or push.
func Is(string) bool { return false }
