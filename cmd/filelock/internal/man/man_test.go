package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/cmd/filelock/cli"
)

// The pages in docs/man are those of the command as it is: go run ./internal/man ../../docs/man
func TestPagesAreUpToDate(t *testing.T) {
	fresh, kept := t.TempDir(), filepath.Join("..", "..", "..", "..", "docs", "man")
	require.NoError(t, generate(cli.New(), fresh))
	require.Equal(t, pages(t, fresh), pages(t, kept))
}

func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.1"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	all := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		all[filepath.Base(name)] = string(text)
	}
	return all
}
