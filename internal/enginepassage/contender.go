package enginepassage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/turn"
)

// contender puts an engine's contender into the library's terms. One that nobody is
// ahead of holds the lock: the service lets nobody else in.
func contender(c engine.Contender, inside bool) turn.Contender {
	t := turn.Contender{
		ID: c.ID, Host: c.Host, PID: c.PID, Self: c.Own, Queued: c.Queued, Shared: c.Shared, Lease: c.Lease, Label: c.Label,
		State: turn.Alive, Reason: fmt.Sprintf("its lease is %v", c.Lease),
	}
	if inside {
		t.State = turn.Inside
	}
	if c.Left > 0 {
		t.Reason = fmt.Sprintf("its lease of %v has %v left", c.Lease, c.Left.Round(time.Second/10))
	}
	return t
}

// Inspect returns all contenders in the order of the queue.
func Inspect(ctx context.Context, cfg *Config) ([]turn.Contender, error) {
	found, err := cfg.Queue.List(ctx)
	if err != nil {
		return nil, err
	}
	return contenders(found), nil
}

// Evict takes away the place of the contender that is known by id now, the turn included,
// and returns it as it was. It returns engine.ErrGone if there is none.
func Evict(ctx context.Context, cfg *Config, id string) (turn.Contender, error) {
	found, err := cfg.Queue.List(ctx)
	if err != nil {
		return turn.Contender{}, err
	}
	i := slices.IndexFunc(found, func(c engine.Contender) bool { return c.ID == id })
	if i < 0 {
		return turn.Contender{}, engine.ErrGone
	}
	return contenders(found)[i], cfg.Queue.Evict(ctx, found[i])
}

func contenders(found []engine.Contender) []turn.Contender {
	all := make([]turn.Contender, 0, len(found))
	inside := true
	for i, c := range found {
		inside = inside && (i == 0 || c.Shared && found[0].Shared)
		all = append(all, contender(c, inside))
	}
	return all
}
