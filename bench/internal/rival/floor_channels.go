package rival

import (
	"context"
	"slices"
	"sync"
)

// ChannelFloor is the least that goroutines need who pass something on, first
// come first served, and can be cancelled: a mutex, and a channel for each that
// waits. No lock between processes comes with it, so it excludes nobody else.
var ChannelFloor = Rival{
	Key: "floor-channels", Name: "floor: a line of channels", Floor: true, Shared: true,
	Open: func(string) (Lock, error) { return &channelFloor{}, nil },
}

type channelFloor struct {
	mu   sync.Mutex
	busy bool
	line []chan struct{}
}

func (c *channelFloor) Lock(ctx context.Context) error {
	c.mu.Lock()
	if !c.busy {
		c.busy = true
		c.mu.Unlock()
		return nil
	}
	turn := make(chan struct{}, 1)
	c.line = append(c.line, turn)
	c.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.line, turn); i >= 0 {
		c.line = slices.Delete(c.line, i, i+1)
	} else {
		c.next() // it was given to us meanwhile
	}
	return ctx.Err()
}

func (c *channelFloor) Unlock() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next()
	return nil
}

// next passes it on. c.mu is held.
func (c *channelFloor) next() {
	if len(c.line) == 0 {
		c.busy = false
		return
	}
	c.line[0] <- struct{}{}
	c.line = c.line[1:]
}

func (c *channelFloor) Close() error { return nil }
