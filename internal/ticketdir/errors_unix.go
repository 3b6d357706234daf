//go:build unix

package ticketdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/filelock-go/filelock/internal/queue"
)

// wrap says what failed where. What callers ask for at every hand-off is passed
// on without words.
func wrap(op, path string, err error) error {
	if err == nil || err == fs.ErrNotExist || errors.Is(err, queue.ErrGone) {
		return err
	}
	var already *fs.PathError
	if errors.As(err, &already) {
		return err
	}
	return &fs.PathError{Op: op, Path: filepath.Clean(path), Err: err}
}

// unsupported marks an error of a lock that says there are none.
func unsupported(err error) error {
	if noLocks(err) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
