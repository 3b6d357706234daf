package filelock

import (
	"context"
	"sync"
)

// hold is one successful acquisition through a FileLock. Several may share a
// grant.
type hold struct {
	grant *grant
	// named: whoever took it gives back this very one, so that it is not used
	// again.
	named bool
	uses  int // how often it was used before; guarded by FileLock.mu
}

func (h *hold) lost() <-chan struct{} { return h.grant.passage.Losing() }

// whileHeld returns a context that ends with cause when the hold is lost. The caller
// owes a call of end.
func (h *hold) whileHeld(ctx context.Context, cause error) (held context.Context, end func()) {
	lost := h.lost()
	if lost == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-lost:
			cancel(cause)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watcher.Wait()
	}
}
