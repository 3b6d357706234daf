//go:build unix

package filelock_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/filelock-go/filelock"
)

// Leases are for Unix systems.

func Example_leader() {
	path, remove := scratch()
	defer remove()

	lock, err := filelock.New(path, filelock.WithLease(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	times := 0
	err = lead(context.Background(), lock, func(ctx context.Context) error {
		times++
		fmt.Println("leads, time", times)
		if times == 2 {
			return nil
		}
		sweep(path) // whatever it is that makes it lose the lock
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// leads, time 1
	// leads, time 2
}
