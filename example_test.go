package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/filelock-go/filelock"
)

// This is the README's first example; TestDocsCode compares the two. It has a file
// of its own so that the package's page shows all of it: of a file with several
// examples it would show the body of Example only.

// update migrates the database db. Nobody else who takes its lock is inside meanwhile.
func update(ctx context.Context, db string) error {
	lock, err := filelock.New(db) // names what is protected; db itself is never touched
	if err != nil {
		return err
	}
	err = lock.Do(ctx, func(ctx context.Context) error {
		return migrate(ctx, db)
	})
	var busy *filelock.BusyError
	if errors.As(err, &busy) && busy.Holder.Path != "" { // "": whoever it was had just left
		log.Printf("in the way of %s: %s", db, busy.Holder) // its Host, PID and State are fields
	}
	return err
}

func migrate(_ context.Context, db string) error {
	return os.WriteFile(db, []byte("version 2"), 0o666)
}

func Example() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db := filepath.Join(dir, "db")
	if err := update(context.Background(), db); err != nil {
		log.Fatal(err)
	}
	data, err := os.ReadFile(db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output: version 2
}
