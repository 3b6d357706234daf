//go:build !linux

package filelock_test

import "testing"

// requireRest skips: tickets rest on Linux only.
func requireRest(t *testing.T, _ string) {
	t.Helper()
	t.Skip("tickets do not rest on this system")
}

// isMarked reports whether a ticket rests: none does here.
func isMarked(string) bool { return false }
