package memengine_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/memengine"
)

// How a program does when the lock service fails can be tried without one.
func Example() {
	var service memengine.Service
	here, there := service.Engine(), service.Engine() // two machines
	lock, err := filelock.New("jobs/nightly", filelock.WithEngine(here), filelock.WithLease(time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lock.Do(context.Background(), func(ctx context.Context) error {
		here.Break(memengine.Cut)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fmt.Println("lost:", errors.Is(err, filelock.ErrLost))

	other, err := filelock.New("jobs/nightly", filelock.WithEngine(there), filelock.WithTimeout(5*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("another machine:", other.Do(context.Background(), func(context.Context) error { return nil }))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = lock.Acquire(ctx)
	fmt.Println("unavailable:", errors.Is(err, engine.ErrUnavailable))
	// Output:
	// lost: true
	// another machine: <nil>
	// unavailable: true
}
