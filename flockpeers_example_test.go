//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/filelock-go/filelock"
)

// openBoth returns the lock for the release in the middle. The release before it
// has a flock on path + ".lock", and the one after it leaves the option out.
func openBoth(path string) (*filelock.FileLock, error) {
	return filelock.New(path, filelock.WithFlockPeersFile(path+".lock"))
}

// A program that is on its way from gofrs/flock to this lock excludes those that still
// have the old one.
func ExampleWithFlockPeers() {
	path, remove := scratch()
	defer remove()
	ctx := context.Background()
	lock, err := openBoth(path)
	if err != nil {
		log.Fatal(err)
	}

	leave, err := holdOld(ctx, path+".lock") // as the release before does
	if err != nil {
		log.Fatal(err)
	}
	err = lock.TryLock()
	var busy *filelock.BusyError
	fmt.Println("beside the old release:", errors.Is(err, filelock.ErrLocked), errors.As(err, &busy) && busy.Holder.FlockPeer)
	if err := leave(); err != nil {
		log.Fatal(err)
	}

	if err := lock.Acquire(ctx); err != nil {
		log.Fatal(err)
	}
	brief, cancel := context.WithTimeout(ctx, mustBlock)
	defer cancel()
	_, err = holdOld(brief, path+".lock")
	fmt.Println("the old release beside it:", err)
	if err := lock.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// beside the old release: true true
	// the old release beside it: context deadline exceeded
}
