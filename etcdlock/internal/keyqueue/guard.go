package keyqueue

import (
	"context"
	"errors"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/wake"
)

// guardAfter is how long a ticket is held before its own key is watched: it costs a
// tenth of a short hold.
const guardAfter = 50*time.Millisecond - firstPause

// guard has the own key watched from soon on, until unguard.
func (t *Ticket) guard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unwatch != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(guardAfter, func() { t.watchOwn(ctx) })
	t.unwatch = func() {
		timer.Stop()
		cancel()
	}
}

func (t *Ticket) unguard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unwatch != nil {
		t.unwatch()
	}
}

// watchOwn closes gone when the key is seen to be gone. What it cannot see the
// lease's renewal will tell.
func (t *Ticket) watchOwn(ctx context.Context) {
	pause := firstPause
	for wake.Sleep(ctx, pause) == nil {
		pause = min(2*pause, net)
		changed, err := t.queue.store.Watch(ctx, t.key())
		if err != nil {
			continue
		}
		if t.tell(ctx) {
			return
		}
		select {
		case err = <-changed:
		case <-ctx.Done():
			return
		}
		if t.tell(ctx) {
			return
		}
		if err == nil {
			pause = firstPause
		}
	}
}

// tell looks for the key, and reports whether there is nothing more to see.
func (t *Ticket) tell(ctx context.Context) (over bool) {
	gone, err := t.isGone(ctx)
	if gone {
		close(t.gone)
	}
	return gone || err != nil
}

func (t *Ticket) isGone(ctx context.Context) (bool, error) {
	a, err := t.queue.commit(ctx, Txn{Then: []Op{Get{Key: t.key(), Bare: true}}})
	if err != nil {
		if errors.Is(err, engine.ErrUnavailable) {
			return false, nil // ctx is done
		}
		return false, err
	}
	own := a.Gets[0].Entries
	return len(own) == 0 || own[0].Created != t.created(), nil
}
