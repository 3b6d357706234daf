package rival

import "context"

// Idle waits for nothing, until it is cancelled: what a process costs that
// only waits.
var Idle = Rival{
	Key: "floor-idle", Name: "floor: waits for nothing", Floor: true,
	Open: func(string) (Lock, error) { return idle{}, nil },
}

type idle struct{}

func (idle) Lock(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (idle) Unlock() error { return nil }
func (idle) Close() error  { return nil }
