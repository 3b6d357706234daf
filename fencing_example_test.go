package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/filelock-go/filelock"
)

// store is a resource that refuses those who had the lock before: it looks at the token of
// each access, and remembers the highest, for all accesses and for writes.
type store struct {
	mu      sync.Mutex
	seen    uint64 // the highest token that anybody came with
	written uint64 // the highest token that a write came with
	value   string
}

var errOldToken = errors.New("a newer owner was here")

// Write stores a value, unless an owner with a higher token was here, be it only to read:
// who has the lock counts on nobody writing but itself. The comparison and the write are
// one step, or else they would race.
func (s *store) Write(token uint64, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token < s.seen {
		return fmt.Errorf("token %d, seen %d: %w", token, s.seen, errOldToken)
	}
	s.seen, s.written, s.value = token, token, value
	return nil
}

// Read returns the value, unless an owner with a higher token has written. Those who share
// the lock have a token each and come in any order, so that what another one has read does
// not count.
func (s *store) Read(token uint64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token < s.written {
		return "", fmt.Errorf("token %d, written %d: %w", token, s.written, errOldToken)
	}
	s.seen = max(s.seen, token)
	return s.value, nil
}

// An owner that was stopped for longer than its lease writes when it goes on. Only the
// resource can refuse that.
func ExampleWithFencing() {
	path, remove := scratch()
	defer remove()
	var shared store

	lock, err := filelock.New(path, filelock.WithFencing())
	if err != nil {
		log.Fatal(err)
	}
	// The first owner gets its token, and is about to write when it is stopped.
	var old uint64
	err = lock.Do(context.Background(), func(context.Context) error {
		old, err = lock.Token()
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Meanwhile another one has the lock.
	err = lock.Do(context.Background(), func(context.Context) error {
		token, err := lock.Token()
		if err != nil {
			return err
		}
		return shared.Write(token, "by the second owner")
	})
	if err != nil {
		log.Fatal(err)
	}
	// The first one goes on, and does not know what has happened.
	err = shared.Write(old, "by the first owner")
	fmt.Println("refused:", errors.Is(err, errOldToken))
	fmt.Println(shared.value)
	// Output:
	// refused: true
	// by the second owner
}

// Readers that are inside together have a token each, and the slower one is as good as the
// faster one. A writer from before them is refused, and so are they once another one has
// written.
func ExampleWithFencing_shared() {
	path, remove := scratch()
	defer remove()
	shared := store{value: "as it was"}

	// Each lock stands for a process.
	var locks [3]*filelock.FileLock
	for i := range locks {
		lock, err := filelock.New(path, filelock.WithFencing())
		if err != nil {
			log.Fatal(err)
		}
		locks[i] = lock
	}
	take := func(lock *filelock.FileLock, acquire func(context.Context) error) (token uint64) {
		if err := acquire(context.Background()); err != nil {
			log.Fatal(err)
		}
		token, err := lock.Token()
		if err != nil {
			log.Fatal(err)
		}
		return token
	}
	release := func(lock *filelock.FileLock) {
		if err := lock.Unlock(); err != nil {
			log.Fatal(err)
		}
	}

	// A writer loses the lock before it has written, and does not know it.
	late := take(locks[0], locks[0].Acquire)
	release(locks[0])
	// Two readers share the lock. The second one is faster.
	slow, fast := take(locks[1], locks[1].AcquireShared), take(locks[2], locks[2].AcquireShared)
	fmt.Println(shared.Read(fast))
	fmt.Println(shared.Read(slow))
	fmt.Println("late writer refused:", errors.Is(shared.Write(late, "too late"), errOldToken))
	release(locks[1])
	release(locks[2])
	// The next writer has the lock to itself. A reader goes on that has lost it.
	next := take(locks[0], locks[0].Acquire)
	fmt.Println(shared.Write(next, "new"))
	_, err := shared.Read(slow)
	fmt.Println("late reader refused:", errors.Is(err, errOldToken))
	release(locks[0])
	// Output:
	// as it was <nil>
	// as it was <nil>
	// late writer refused: true
	// <nil>
	// late reader refused: true
}
