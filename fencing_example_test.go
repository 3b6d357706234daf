package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/filelock-go/filelock"
)

// store is a resource that refuses old writers. A database does the same with a
// column: UPDATE … SET value = ?, token = ? WHERE id = ? AND token <= ?.
type store struct {
	mu     sync.Mutex
	newest uint64 // the highest token that was seen
	value  string
}

var errOldToken = errors.New("a newer owner has written")

// Write stores a value, unless an owner with a higher token has been here. The
// comparison and the write are one step, or else they would race.
func (s *store) Write(token uint64, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token < s.newest {
		return fmt.Errorf("token %d, newest %d: %w", token, s.newest, errOldToken)
	}
	s.newest, s.value = token, value
	return nil
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
