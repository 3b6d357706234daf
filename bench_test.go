package filelock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// onDisks runs a benchmark on a disk and, where there is one, in memory.
func onDisks(b *testing.B, f func(b *testing.B, dir string)) {
	b.Run("disk", func(b *testing.B) { f(b, b.TempDir()) })
	if dir, err := os.MkdirTemp("/dev/shm", "filelock-bench-"); err == nil {
		b.Cleanup(func() { os.RemoveAll(dir) })
		b.Run("memory", func(b *testing.B) { f(b, dir) })
	}
}

// BenchmarkFree is the lock that nobody else wants.
func BenchmarkFree(b *testing.B) {
	onDisks(b, func(b *testing.B, dir string) {
		l := newLock(b, filepath.Join(dir, "target"))
		b.ReportAllocs()
		for b.Loop() {
			if err := l.Acquire(context.Background()); err != nil {
				b.Fatal(err)
			}
			if err := l.Unlock(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTryLockBusy is a try while another process's place is ahead.
func BenchmarkTryLockBusy(b *testing.B) {
	onDisks(b, func(b *testing.B, dir string) {
		path := filepath.Join(dir, "target")
		holder := newLock(b, path, filelock.WithPlainPeers()) // a line of its own
		acquire(b, holder)
		l := newLock(b, path)
		b.ReportAllocs()
		for b.Loop() {
			if l.TryLock() == nil {
				b.Fatal("not busy")
			}
		}
		require.NoError(b, holder.Unlock())
	})
}

// BenchmarkGoroutines is one service whose goroutines want one lock.
func BenchmarkGoroutines(b *testing.B) {
	for _, n := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			onDisks(b, func(b *testing.B, dir string) {
				l := newLock(b, filepath.Join(dir, "target"))
				shareTurns(b, n, func() error {
					if err := l.Acquire(context.Background()); err != nil {
						return err
					}
					return l.Unlock()
				})
			})
		})
	}
}

// BenchmarkDo is BenchmarkGoroutines by way of Do.
func BenchmarkDo(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			onDisks(b, func(b *testing.B, dir string) {
				l := newLock(b, filepath.Join(dir, "target"))
				shareTurns(b, n, func() error {
					return l.Do(context.Background(), func(context.Context) error { return nil })
				})
			})
		})
	}
}

// shareTurns has n goroutines do b.N turns between them.
func shareTurns(b *testing.B, n int, turn func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for i := range n {
		turns := b.N / n
		if i < b.N%n {
			turns++
		}
		group.Go(func() {
			for range turns {
				if err := turn(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkReentrant is an owner's nested acquisition.
func BenchmarkReentrant(b *testing.B) {
	l := newLock(b, target(b), filelock.WithReentrant())
	me := filelock.ContextWithOwner(context.Background())
	require.NoError(b, l.Acquire(me))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Acquire(me); err != nil {
			b.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, l.Unlock())
}

// BenchmarkUnrelatedFiles is the free lock in a directory with other files.
func BenchmarkUnrelatedFiles(b *testing.B) {
	for _, n := range []int{0, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := range n {
				require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%06d", i)), nil, 0o666))
			}
			for name, opts := range map[string][]filelock.Option{
				"beside": nil, "queue directory": {filelock.WithQueueDir(b.TempDir())},
			} {
				b.Run(name, func(b *testing.B) {
					l := newLock(b, filepath.Join(dir, "target"), opts...)
					for b.Loop() {
						if err := l.Acquire(context.Background()); err != nil {
							b.Fatal(err)
						}
						if err := l.Unlock(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
