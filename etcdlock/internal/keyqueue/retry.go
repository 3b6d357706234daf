package keyqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/wake"
)

const (
	// attempt is how long one request may take: longer than an election.
	attempt = 2 * time.Second
	// firstPause and lastPause are between attempts.
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// jitter returns a time below d. Tests that must be the same again have another one.
var jitter = func(d time.Duration) time.Duration { return rand.N(d) }

// persist calls f until it succeeds or fails for good, or ctx is done. Then its
// error matches engine.ErrUnavailable, and ctx's.
func persist(ctx context.Context, f func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if ctx.Err() != nil {
			return silent(ctx)
		}
		err := once(ctx, f)
		if !errors.Is(err, ErrPassing) {
			return err
		}
		if wake.Sleep(ctx, pause/2+jitter(pause/2)) != nil {
			return silent(ctx)
		}
	}
}

func once(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return f(ctx)
}

func silent(ctx context.Context) error {
	return fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
}
