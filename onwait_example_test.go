package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"

	"github.com/filelock-go/filelock"
)

// screen shows waits, until it is closed. The function of WithOnWait may still be
// running when the acquisition has returned, so the two share a mutex.
type screen struct {
	mu     sync.Mutex
	closed bool
	lines  []string
}

func (s *screen) show(w filelock.Wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.lines = append(s.lines, fmt.Sprintf("number %d in the queue", w.Position))
	}
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func ExampleWithOnWait() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "db")
	holder, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := holder.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}

	s := new(screen)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	waiter, err := filelock.New(path, filelock.WithOnWait(func(w filelock.Wait) {
		s.show(w)
		if w.Position > 1 { // who is not willing to wait behind anybody gives up
			cancel(errors.New("the queue is too long"))
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	err = waiter.Acquire(ctx)
	s.close() // from here on nothing is shown
	fmt.Println(s.lines)
	fmt.Println(errors.Is(err, context.Canceled), context.Cause(ctx))
	if err := holder.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// [number 2 in the queue]
	// true the queue is too long
}
