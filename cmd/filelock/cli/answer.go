package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/wake"
)

// tryLimit is how long -n, and what only looks at a queue, wait for a filesystem that
// does not answer.
const tryLimit = 8 * time.Second

// answered calls f and returns what that does, unless ctx is done first: a dead server
// does not answer the calls that it takes to find a file. What f does then, it does for
// nobody.
func answered[T any](ctx context.Context, path string, f func() (T, error)) (T, error) {
	var value, none T
	var err error
	if inTime, _ := wake.Until(ctx.Done(), func() { value, err = f() }); !inTime {
		return none, fmt.Errorf("%s: %w: %w", ticket.Quote(path), filelock.ErrUnanswered, context.Cause(ctx))
	}
	return value, err
}

// inspect is filelock.Inspect for those who do not wait.
func inspect(ctx context.Context, target string, opts ...filelock.Option) (filelock.Queue, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryLimit, filelock.ErrTimeout)
	defer cancel()
	return answered(ctx, target, func() (filelock.Queue, error) { return filelock.Inspect(target, opts...) })
}
