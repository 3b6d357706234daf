package rival

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestEachLocksAndUnlocksTwice(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // juju/mutex changes it
	rivals := append(All(), FileFloor, RestFloor, QueueFloor, ChannelFloor, FlockFloor, GetdentsFloor, OursIn(t.TempDir()))
	for _, r := range append(rivals, Readers()...) {
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
	for _, r := range append(All(), QueueFloor, ChannelFloor) {
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

// Its protocol is written anew here, so that it needs a storm of its own. Between
// processes it is the benchmark itself that counts overlaps.
func TestQueueFloorExcludesInAStorm(t *testing.T) {
	const contenders, times = 6, 300
	path := filepath.Join(t.TempDir(), "target")
	var inside, overlaps atomic.Int32
	passages := func(l Lock) error {
		for range times {
			if err := l.Lock(t.Context()); err != nil {
				return err
			}
			if inside.Add(1) != 1 {
				overlaps.Add(1)
			}
			runtime.Gosched()
			inside.Add(-1)
			if err := l.Unlock(); err != nil {
				return err
			}
		}
		return nil
	}
	ended := make(chan error)
	for range contenders {
		l := open(t, QueueFloor, path)
		go func() { ended <- errors.Join(passages(l), l.Close()) }()
	}
	for range contenders {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := overlaps.Load(); n != 0 {
		t.Errorf("%d of %d entries while somebody was inside", n, contenders*times)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("%v is left behind (%v)", left, err)
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

// TestChannelFloorGoesOn: one who gave up does not stop those behind.
func TestChannelFloorGoesOn(t *testing.T) {
	l := open(t, ChannelFloor, "")
	for i := range 100 {
		if err := l.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- l.Lock(ctx) }()
		for waiting := 0; waiting == 0; {
			f := l.(*channelFloor)
			f.mu.Lock()
			waiting = len(f.line)
			f.mu.Unlock()
			runtime.Gosched()
		}
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
			runtime.Gosched()
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := <-gaveUp; err == nil {
			if err := l.Unlock(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := l.Lock(ctx); err != nil {
		t.Fatal(err)
	}
}
