//go:build !linux

package wake

import (
	"context"
	"time"
)

// watch does not exist here: waiting is by polling alone.
type watch struct{}

func newWatch(string, bool) (w *watch, unable, missing bool) { return nil, true, false }

func (w *watch) wait(context.Context, time.Duration) (fired bool) { return false }

func (w *watch) stop() {}
