package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/filelock-go/filelock"
)

// scratch returns a path in a directory of its own, and what removes that.
func scratch() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "db"), func() { os.RemoveAll(dir) }
}

func ExampleFileLock_Do() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	err = l.Do(context.Background(), func(context.Context) error {
		fmt.Println("nobody else is here")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: nobody else is here
}

func ExampleFileLock_Acquire_timeout() {
	path, remove := scratch()
	defer remove()

	holder, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := holder.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}

	l, err := filelock.New(path, filelock.WithTimeout(10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	err = l.Acquire(context.Background())
	var busy *filelock.BusyError
	if errors.As(err, &busy) {
		fmt.Println("held by this process:", busy.Holder.PID == os.Getpid())
		fmt.Println("ahead:", busy.Ahead)
	}
	fmt.Println("timeout:", errors.Is(err, filelock.ErrTimeout))

	if err := holder.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// held by this process: true
	// ahead: 1
	// timeout: true
}

func ExampleContextWithOwner() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path, filelock.WithReentrant())
	if err != nil {
		log.Fatal(err)
	}
	ctx := filelock.ContextWithOwner(context.Background())
	err = l.Do(ctx, func(ctx context.Context) error {
		return l.Do(ctx, func(context.Context) error {
			fmt.Println("the same owner is in twice")
			return nil
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: the same owner is in twice
}

func ExampleFileLock_TryLock() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	switch err := l.TryLock(); {
	case errors.Is(err, filelock.ErrLocked):
		fmt.Println("somebody else does it already")
		return
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println("ours to do")
	if err := l.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output: ours to do
}

func ExampleInspect() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	q, err := filelock.Inspect(path)
	if err != nil {
		log.Fatal(err)
	}
	if holder, ok := q.Holder(); ok {
		fmt.Println("held by this process:", holder.PID == os.Getpid())
	}
	if err := l.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output: held by this process: true
}

func ExampleReap() {
	path, remove := scratch()
	defer remove()

	// Nobody died, so there is nothing to remove.
	gone, err := filelock.Reap(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(gone))
	// Output: 0
}

func ExampleFileLock_Hold() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	release, err := l.Hold(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Held())
	if err := release(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Held())
	// Output:
	// true
	// false
}

func ExampleFileLock_TryAcquire() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path, filelock.WithReentrant())
	if err != nil {
		log.Fatal(err)
	}
	// A reentrant lock asks who tries, so TryLock, which names nobody, is no use.
	fmt.Println("nobody named:", errors.Is(l.TryLock(), filelock.ErrNoOwner))

	ctx := filelock.ContextWithOwner(context.Background())
	for range 2 {
		if err := l.TryAcquire(ctx); err != nil {
			log.Fatal(err)
		}
	}
	other := filelock.ContextWithOwner(context.Background())
	fmt.Println("another is refused:", errors.Is(l.TryAcquire(other), filelock.ErrLocked))
	for range 2 { // each call gives back one
		if err := l.Unlock(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// nobody named: true
	// another is refused: true
}

func ExampleWithQueueDir() {
	path, remove := scratch()
	defer remove()
	queueDir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(queueDir)

	// All who use the lock must name the same directory, and Inspect too.
	there := filelock.WithQueueDir(queueDir)
	l, err := filelock.New(path, there)
	if err != nil {
		log.Fatal(err)
	}
	err = l.Do(context.Background(), func(context.Context) error {
		q, err := filelock.Inspect(path, there)
		if err != nil {
			return err
		}
		fmt.Println("in the queue directory:", len(q.Tickets))
		q, err = filelock.Inspect(path)
		if err != nil {
			return err
		}
		fmt.Println("beside the target:", len(q.Tickets))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// in the queue directory: 1
	// beside the target: 0
}

func ExampleWithLogger() {
	path, remove := scratch()
	defer remove()

	// zap.NewProduction() shows the warnings only: tickets of the dead that were
	// removed, locks that were lost, tickets that could not be removed.
	core, entries := observer.New(zap.DebugLevel)
	l, err := filelock.New(path, filelock.WithLogger(zap.New(core)))
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
		log.Fatal(err)
	}
	for _, e := range entries.All() {
		fmt.Println(e.Level, e.Message, e.ContextMap()["path"] == l.Path())
	}
	// Output:
	// debug enqueue true
	// debug acquire true
	// debug release true
}

func ExampleWithLinger() {
	path, remove := scratch()
	defer remove()

	// Nothing is kept for the next use: when the last one has given the lock back,
	// the directory is as it was before.
	l, err := filelock.New(path, filelock.WithLinger(0))
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if err := l.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("files left:", len(left))
	// Output: files left: 0
}

func ExampleFileLock_Close() {
	path, remove := scratch()
	defer remove()

	// A process that comes back to the lock within a minute finds its ticket still
	// there, which is cheaper than a new one.
	l, err := filelock.New(path, filelock.WithLinger(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if err := l.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	// It does not come back, so it need not leave that to the next contender.
	if err := l.Close(); err != nil {
		log.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("files left:", len(left))
	// Output: files left: 0
}
