//go:build !linux

package wake

import (
	"context"
	"time"
)

// Bell does not exist here: only Linux runs out of inotify instances.
type Bell struct{}

// Hang returns nil.
func Hang(string) *Bell { return nil }

// Ring does nothing.
func (*Bell) Ring() {}

type listener struct{}

func listen(string, int) *listener { return nil }

func (*listener) wait(context.Context, time.Duration) (rang bool) { return false }

func (*listener) stop() {}
