package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock"
)

func ExampleWithLabel() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "db")
	backup, err := filelock.New(path, filelock.WithLabel("nightly backup"))
	if err != nil {
		log.Fatal(err)
	}
	migration, err := filelock.New(path, filelock.WithLabel("migration"), filelock.WithTimeout(10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}

	if err := backup.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	err = migration.Acquire(context.Background())
	var busy *filelock.BusyError
	if !errors.As(err, &busy) {
		log.Fatal(err)
	}
	fmt.Printf("in the way is %q\n", busy.Holder.Label) // %q: anybody may have written it
	if err := backup.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output: in the way is "nightly backup"
}
