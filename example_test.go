package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

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
