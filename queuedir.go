package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// queueOf returns where the queue of a canonical target is.
func (c *config) queueOf(target string) (ticketdir.Queue, error) {
	q := ticketdir.Queue{
		Mode: c.mode, MakeDir: c.createDirs, Lease: c.lease, Label: c.label,
	}
	q.Dir, q.Prefix = filepath.Dir(target), ticket.Prefix(filepath.Base(target))
	if c.queueDir != "" {
		dir, err := resolveDir(c.queueDir)
		if err != nil {
			return q, err
		}
		q.Dir, q.Prefix = dir, ticket.PrefixIn(filepath.Base(target), target)
	} else if isMountPoint(target) {
		return q, fmt.Errorf("%w: the file is a mount point of its own, and what lies beside it here is not what others see beside it; use WithQueueDir with a directory that all share", ErrInvalid)
	}
	info, err := os.Stat(q.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.createDirs:
		// As a link it resolved to nothing, so the name is final.
		err = os.MkdirAll(q.Dir, 0o777)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w (WithCreateDirs creates missing directories)", err)
	case err == nil && !info.IsDir():
		err = &fs.PathError{Op: "open", Path: q.Dir, Err: syscall.ENOTDIR}
	}
	return q, err
}
