//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
)

// The code of docs/migrating.md, and an example that runs it. TestDocsCode
// compares the page with this file.

// holdBoth takes the new lock and the one that the release before this one takes.
// It is for one release: the next one takes the new lock only.
//
// The new lock comes first, so that those who have it first come first served, and
// one process at most waits for the old one, which may be unfair or poll.
func holdBoth(ctx context.Context, lock *filelock.FileLock, oldPath string) (release func() error, err error) {
	releaseNew, err := lock.Hold(ctx)
	if err != nil {
		return nil, err
	}
	releaseOld, err := holdOld(ctx, oldPath)
	if err != nil {
		return nil, errors.Join(err, releaseNew())
	}
	return func() error { return errors.Join(releaseOld(), releaseNew()) }, nil
}

// holdOld stands for what the release before this one did: put its call here.
// This one has a flock on a file that is there for nothing else.
func holdOld(ctx context.Context, path string) (release func() error, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file.Close, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return nil, errors.Join(&fs.PathError{Op: "flock", Path: path, Err: err}, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func Example_migrating() {
	path, remove := scratch()
	defer remove()
	oldPath := path + ".flock"
	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	briefly := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 10*time.Millisecond)
	}

	release, err := holdOld(ctx, oldPath) // a process of the old release
	if err != nil {
		log.Fatal(err)
	}
	brief, cancel := briefly()
	_, err = holdBoth(brief, lock, oldPath)
	cancel()
	fmt.Println("beside the old release:", err)
	fmt.Println("the new lock is still held:", lock.Held())
	if err := release(); err != nil {
		log.Fatal(err)
	}

	if release, err = holdBoth(ctx, lock, oldPath); err != nil {
		log.Fatal(err)
	}
	brief, cancel = briefly()
	_, err = holdOld(brief, oldPath)
	cancel()
	fmt.Println("the old release beside both:", err)
	fmt.Println("the new release beside both:", errors.Is(lock.TryLock(), filelock.ErrLocked))
	if err := release(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// beside the old release: context deadline exceeded
	// the new lock is still held: false
	// the old release beside both: context deadline exceeded
	// the new release beside both: true
}
