//go:build !unix

package cli

import (
	"errors"
	"fmt"
	"os"
)

// endHolder is never sent: there are no holders.
var endHolder = os.Kill

var errNoHolder = fmt.Errorf("hold: %w: there is no shell here that could evaluate it", errors.ErrUnsupported)

func hold(*holdFlags, streams) error { return exit(exitOS, errNoHolder) }

func keep(*holdFlags, streams) (int, error) { return exitOS, errNoHolder }
