package rival

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func TestEachLocksAndUnlocksTwice(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // juju/mutex changes it
	rivals := append(All(), FileFloor, FlockFloor, GetdentsFloor, OursIn(t.TempDir()))
	for _, r := range rivals {
		t.Run(r.Key, func(t *testing.T) {
			l, err := r.Open(filepath.Join(dir, r.Key))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for range 2 {
				if err := l.Lock(ctx); err != nil {
					t.Fatal(err)
				}
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSafeOnesExclude(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, r := range All() {
		if r.Unsafe {
			continue
		}
		t.Run(r.Key, func(t *testing.T) {
			path := filepath.Join(dir, r.Key)
			a := open(t, r, path)
			b := a
			if !r.Shared {
				b = open(t, r, path)
			}
			if err := a.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			entered := make(chan error, 1)
			go func() { entered <- b.Lock(t.Context()) }()
			select {
			case err := <-entered:
				t.Fatalf("two are inside (%v)", err)
			case <-time.After(10 * time.Millisecond):
			}
			if err := a.Unlock(); err != nil {
				t.Fatal(err)
			}
			if err := <-entered; err != nil {
				t.Fatal(err)
			}
			if err := b.Unlock(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func open(t *testing.T, r Rival, path string) Lock {
	t.Helper()
	l, err := r.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestGet(t *testing.T) {
	for _, r := range All() {
		if got, err := Get(r.Key); err != nil || got.Name != r.Name {
			t.Errorf("Get(%q) = %q, %v", r.Key, got.Name, err)
		}
	}
	if _, err := Get("none"); err == nil {
		t.Error("Get finds what is not there")
	}
}
