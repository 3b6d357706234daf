//go:build unix

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock"
)

// sweep removes all tickets of a lock, as somebody might who takes them for
// rubbish. Nobody should.
func sweep(path string) {
	tickets, err := filepath.Glob(path + ".lock.*.pid")
	if err != nil {
		log.Fatal(err)
	}
	for _, ticket := range tickets {
		if err := os.Remove(ticket); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleWithLease() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path, filelock.WithLease(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	err = l.Do(context.Background(), func(ctx context.Context) error {
		sweep(path) // or this process is stopped for longer than the lease
		<-ctx.Done()
		fmt.Println("stop:", context.Cause(ctx))
		return nil
	})
	fmt.Println("lost:", errors.Is(err, filelock.ErrLost))
	// Output:
	// stop: the lock was lost
	// lost: true
}

func ExampleFileLock_Lost() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path, filelock.WithLease(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	release, err := l.Hold(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lost := l.Lost()

	sweep(path)
	finished := make(chan struct{}) // the work would close it
	select {
	case <-finished:
	case <-lost:
		fmt.Println("stop, another may be inside; held:", l.Held())
	}
	fmt.Println("lost:", errors.Is(release(), filelock.ErrLost))
	// Output:
	// stop, another may be inside; held: false
	// lost: true
}

func ExampleFileLock_Witness() {
	path, remove := scratch()
	defer remove()

	l, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	err = l.Do(context.Background(), func(ctx context.Context) error {
		witness, err := l.Witness()
		if err != nil {
			return err
		}
		defer witness.Close()
		// Were this process killed while the child runs, the lock would stay taken
		// until the child has ended too.
		cmd := exec.CommandContext(ctx, "sh", "-c", "echo the child works")
		cmd.ExtraFiles = []*os.File{witness}
		out, err := cmd.Output()
		fmt.Printf("%s", out)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: the child works
}
