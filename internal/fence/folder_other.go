//go:build !unix

package fence

import (
	"errors"
	"io/fs"
)

// share has nothing to do: what is made in a directory has its rights.
func share(record, parent string) {}

func unsafeFor(record, parent fs.FileInfo) (why string) { return "" }

func outOfFiles(error) bool { return false }

// cannotSync: Windows lets nobody flush a directory that is open for reading.
func cannotSync(err error) bool { return errors.Is(err, fs.ErrPermission) }
