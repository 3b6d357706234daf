package filelock_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

func BenchmarkFree(b *testing.B) {
	l, err := filelock.New(filepath.Join(b.TempDir(), "target"))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Acquire(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
}
