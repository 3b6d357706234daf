package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock"
)

// transfer moves what is in one file to the end of another one. Two transfers in opposite
// directions at the same time do not wait for each other in a circle, since AcquireAll
// takes the locks in one order, whichever they are named in.
func transfer(ctx context.Context, from, to *filelock.FileLock) (err error) {
	release, err := filelock.AcquireAll(ctx, from, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	data, err := os.ReadFile(from.Path())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to.Path(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close(), os.Truncate(from.Path(), 0))
}

func ExampleAcquireAll() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var locks []*filelock.FileLock
	for _, name := range []string{"inbox", "archive"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name+" "), 0o666); err != nil {
			log.Fatal(err)
		}
		lock, err := filelock.New(path)
		if err != nil {
			log.Fatal(err)
		}
		locks = append(locks, lock)
	}
	if err := transfer(context.Background(), locks[0], locks[1]); err != nil {
		log.Fatal(err)
	}
	data, err := os.ReadFile(locks[1].Path())
	fmt.Printf("%s%v\n", data, err)
	// Output: archive inbox <nil>
}

// A claim to share is written with Shared: here a report reads two files that others
// may read meanwhile, and writes one.
func ExampleDoAll() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var locks []*filelock.FileLock
	for _, name := range []string{"orders", "prices", "report"} {
		lock, err := filelock.New(filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		locks = append(locks, lock)
	}
	orders, prices, report := locks[0], locks[1], locks[2]
	err = filelock.DoAll(context.Background(), func(context.Context) error {
		fmt.Println("another reader:", prices.TryLockShared())
		fmt.Println("another writer:", errors.Is(report.TryLock(), filelock.ErrLocked))
		return prices.Unlock()
	}, orders.Shared(), prices.Shared(), report)
	fmt.Println(err)
	// Output:
	// another reader: <nil>
	// another writer: true
	// <nil>
}

// A slice of locks becomes claims with Claims.
func ExampleClaims() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var locks []*filelock.FileLock
	for _, name := range []string{"monday", "tuesday", "wednesday"} {
		lock, err := filelock.New(filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		locks = append(locks, lock)
	}
	err = filelock.DoAll(context.Background(), func(context.Context) error {
		for _, lock := range locks {
			fmt.Println(filepath.Base(lock.Path()), lock.Held())
		}
		return nil
	}, filelock.Claims(locks...)...)
	fmt.Println(err)
	// Output:
	// monday true
	// tuesday true
	// wednesday true
	// <nil>
}

func ExampleTryAcquireAll() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	a, err := filelock.New(filepath.Join(dir, "a"))
	if err != nil {
		log.Fatal(err)
	}
	b, err := filelock.New(filepath.Join(dir, "b"))
	if err != nil {
		log.Fatal(err)
	}
	if err := b.TryLock(); err != nil {
		log.Fatal(err)
	}
	_, err = filelock.TryAcquireAll(context.Background(), a, b)
	var busy *filelock.BusyError
	if errors.As(err, &busy) {
		fmt.Printf("%s is busy; a is held: %v\n", filepath.Base(busy.Path), a.Held())
	}
	if err := b.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output: b is busy; a is held: false
}

// Two workers take the same two locks one by one, in opposite orders. Each has an owner of
// its own, by Do, so that it is known to be a deadlock when they wait for each other; one
// of them has less patience.
func ExampleBusyError_deadlock() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	work := func(patience time.Duration, first, second string, begun chan<- bool, others <-chan bool) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		one, err := filelock.New(filepath.Join(dir, first))
		if err != nil {
			return err
		}
		two, err := filelock.New(filepath.Join(dir, second))
		if err != nil {
			return err
		}
		return one.Do(ctx, func(ctx context.Context) error {
			close(begun)
			<-others
			return two.Do(ctx, func(context.Context) error { return nil })
		})
	}
	a, b := make(chan bool), make(chan bool)
	done := make(chan error)
	go func() { done <- work(time.Minute, "b", "a", b, a) }()
	err = errors.Join(work(3*time.Second, "a", "b", a, b), <-done)

	var busy *filelock.BusyError
	if errors.As(err, &busy) {
		circle := strings.ReplaceAll(busy.Deadlock, dir+string(filepath.Separator), "")
		fmt.Println(strings.ReplaceAll(circle, fmt.Sprint(" in pid ", os.Getpid()), ""))
	}
	// Output: deadlock: an owner waits for b, which another owner holds while it waits for a, which an owner holds
}
