package filelock_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/filelock-go/filelock"
)

// setting is what readers look at and a writer replaces, both while they hold the lock
// of the file's path.
type setting struct{ lock *filelock.FileLock }

func (s setting) read(ctx context.Context) (value string, err error) {
	err = s.lock.DoShared(ctx, func(context.Context) error {
		content, err := os.ReadFile(s.lock.Path())
		value = string(content)
		return err
	})
	return value, err
}

func (s setting) write(ctx context.Context, value string) error {
	return s.lock.Do(ctx, func(context.Context) error {
		return os.WriteFile(s.lock.Path(), []byte(value), 0o666)
	})
}

func ExampleFileLock_DoShared() {
	path, remove := scratch()
	defer remove()
	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	s := setting{lock}
	if err := s.write(context.Background(), "green"); err != nil {
		log.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 3 { // they may be inside together
		readers.Go(func() {
			value, err := s.read(context.Background())
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(value)
		})
	}
	readers.Wait()
	// Output:
	// green
	// green
	// green
}

// A reader that tries is refused only for a writer, inside or waiting.
func ExampleFileLock_TryLockShared() {
	path, remove := scratch()
	defer remove()
	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if err := lock.TryLockShared(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("two readers")
	for range 2 {
		if err := lock.Unlock(); err != nil {
			log.Fatal(err)
		}
	}
	// Output: two readers
}
