package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// ticketsIn lists the tickets in a directory.
func ticketsIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.lock.*.pid"))
	require.NoError(t, err)
	return names
}
