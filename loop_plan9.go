package filelock

import "errors"

// errLoop stands in for an error that Plan 9, without symbolic links, does not have.
var errLoop = errors.New("too many levels of symbolic links")
