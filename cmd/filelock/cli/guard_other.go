//go:build !unix

package cli

import "io"

// standGuard is not called: there are no process groups here.
func standGuard(io.Reader) (code int) { return exitUsage }
