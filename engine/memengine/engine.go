package memengine

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Engine is one machine's way to a Service: what goes through it is of one process,
// for the others. It is safe for use by several goroutines.
type Engine struct {
	service *Service
	number  int64

	mu      sync.Mutex
	fault   Fault
	delay   time.Duration
	changed chan struct{} // closed when the fault is another one
}

var _ engine.Engine = (*Engine)(nil)

// engines counts all, so that no two have one number.
var engines atomic.Int64

// Engine returns one more way to s.
func (s *Service) Engine() *Engine {
	return &Engine{service: s, number: engines.Add(1), changed: make(chan struct{})}
}

// Open implements engine.Engine.
func (e *Engine) Open(name string, o engine.Options) (engine.Queue, error) {
	return &queue{engine: e, name: name, options: o}, nil
}

// contender is what the names of all contenders of the engine begin with.
func (e *Engine) contender() string { return fmt.Sprintf("engine-%d.", e.number) }

// seen returns a contender as it is seen through the engine.
func (e *Engine) seen(c engine.Contender) engine.Contender {
	c.Own = strings.HasPrefix(c.ID, e.contender())
	return c
}

type queue struct {
	engine  *Engine
	name    string
	options engine.Options
}

func (q *queue) ID() string { return fmt.Sprintf("mem:%d/%s", q.engine.number, q.name) }

func (q *queue) New(shared bool) engine.Ticket {
	t := &ticket{queue: q, shared: shared, leaves: make(chan struct{})}
	t.own = engine.Contender{
		ID: q.engine.contender(), Host: "memory", PID: os.Getpid(), Own: true,
		Shared: shared, Lease: q.options.Lease, Label: q.options.Label,
	}
	return t
}

func (q *queue) List(ctx context.Context) (all []engine.Contender, err error) {
	var found []engine.Contender
	err = q.engine.ask(ctx, func() {
		for _, p := range q.engine.service.queues[q.name] {
			c := q.engine.seen(p.contender)
			c.Left = time.Until(p.end)
			found = append(found, c)
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (q *queue) Evict(ctx context.Context, c engine.Contender) error {
	gone := true
	err := q.engine.ask(ctx, func() {
		for _, p := range q.engine.service.queues[q.name] {
			if p.contender.ID == c.ID && p.contender.Serial == c.Serial {
				gone = !q.engine.service.remove(p)
				return
			}
		}
	})
	if err == nil && gone {
		return engine.ErrGone
	}
	return err
}
