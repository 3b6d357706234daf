// Package overview collects what there is to know of queues: those of a path, those in a
// directory, or all that processes of this machine take part in.
package overview

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/waitfor"
	"github.com/filelock-go/filelock/internal/wake"
)

// Version is that of the JSON of an Overview. Fields are added without another one.
const Version = 1

// Overview is what was found, at about one moment.
type Overview struct {
	Version int      `json:"version"`
	Held    bool     `json:"held"` // at least one queue is
	Queues  []Queue  `json:"queues"`
	Cycles  []string `json:"cycles,omitempty"` // of processes that wait for each other
}

// Queue is one lock's.
type Queue struct {
	Path string `json:"path"` // the target, or what the tickets make of its name
	// Held: somebody is inside, or is in line for it. Nobody who only rests is, nor the
	// dead.
	Held    bool     `json:"held"`
	Tickets []Ticket `json:"tickets"` // in order
	Error   string   `json:"error,omitempty"`
	// Note says what is not known of the queue.
	Note string `json:"note,omitempty"`

	Err error `json:"-"`
}

// answer is how long a filesystem may take for one queue.
const answer = 8 * time.Second

// errUnanswered is of one that took longer.
var errUnanswered = fmt.Errorf("%w within %v", filelock.ErrUnanswered, answer)

// New returns an overview of nothing.
func New() Overview { return Overview{Version: Version, Queues: []Queue{}} }

// Of collects the queues of targets, of which a directory stands for all those in it.
func Of(ctx context.Context, targets []string, opts ...filelock.Option) Overview {
	o := New()
	for _, target := range targets {
		o.Add(ctx, target, opts...)
	}
	return o
}

// Add adds the queues of a target.
func (o *Overview) Add(ctx context.Context, target string, opts ...filelock.Option) {
	info, err := within(ctx, func() (os.FileInfo, error) { return os.Stat(target) })
	switch {
	case errors.Is(err, filelock.ErrUnanswered):
		o.add(failed(target, err))
	case err == nil && info.IsDir():
		o.addDir(ctx, target)
	default:
		o.add(inspect(ctx, target, opts...))
	}
}

// AddFound adds a queue that inspect finds, within its own limit, under another name.
func (o *Overview) AddFound(ctx context.Context, name string, inspect func() (filelock.Queue, error)) {
	found, err := unlessDone(ctx, inspect)
	if err != nil {
		o.add(failed(name, err))
		return
	}
	found.Path = name
	o.add(newQueue(found))
}

// OfMachine collects all queues that processes of this machine take part in, as far as
// they may be looked at, and the cycles among these processes.
func OfMachine(ctx context.Context) Overview {
	o := Overview{Version: Version, Queues: []Queue{}}
	processes, circles := waitfor.Survey()
	for _, c := range circles {
		o.Cycles = append(o.Cycles, c.Text(func(q waitfor.Queue) string { return ticket.Quote(q.Target()) }))
	}
	own := ownMounts()
	here := map[waitfor.Queue]bool{}
	var elsewhere []Queue
	for _, p := range processes {
		for _, t := range p.Tickets {
			if own == 0 || p.Mounts == 0 || p.Mounts == own {
				here[t.Queue] = true
			} else {
				elsewhere = addElsewhere(elsewhere, p, t)
			}
		}
	}
	queues := make([]waitfor.Queue, 0, len(here))
	for q := range here {
		queues = append(queues, q)
	}
	slices.SortFunc(queues, waitfor.Queue.Compare)
	for _, q := range queues {
		o.addSeen(inspect(ctx, q.Target()))
	}
	for _, q := range elsewhere {
		o.add(q)
	}
	return o
}

func (o *Overview) add(q Queue) {
	o.Queues = append(o.Queues, q)
	o.Held = o.Held || q.Held
}

// addSeen adds a queue that somebody was seen in, unless it has gone with its directory
// since then: what nobody has named is not missed.
func (o *Overview) addSeen(q Queue) {
	if !errors.Is(q.Err, os.ErrNotExist) {
		o.add(q)
	}
}

func (o *Overview) addDir(ctx context.Context, dir string) {
	names, err := within(ctx, func() ([]string, error) { return targetsIn(dir) })
	if err != nil {
		o.add(failed(dir, err))
		return
	}
	for _, name := range names {
		o.add(inspect(ctx, filepath.Join(dir, name)))
	}
}

// targetsIn returns the names of which a directory has tickets.
func targetsIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, name := range names {
		if target, ok := targetOf(name); ok {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), nil
}

// infix is what stands between a target's name and the rest of a ticket's.
const infix = ".lock."

// targetOf returns the name of the target that a ticket is of. Of a plain ticket, whose
// host may have dots, it is taken to end at the last place where it can.
func targetOf(name string) (string, bool) {
	prefix, _, ok := ticket.Split(name)
	if !ok {
		i := strings.LastIndex(name, infix)
		if i < 0 {
			return "", false
		}
		prefix = name[:i+len(infix)]
		n, parsed := ticket.Parse(prefix, name)
		ok = parsed && n.Plain
	}
	target := strings.TrimSuffix(prefix, infix)
	return target, ok && target != ""
}

func failed(path string, err error) Queue {
	return Queue{Path: path, Tickets: []Ticket{}, Err: err, Error: err.Error()}
}

func inspect(ctx context.Context, target string, opts ...filelock.Option) Queue {
	found, err := within(ctx, func() (filelock.Queue, error) { return filelock.Inspect(target, opts...) })
	if err != nil {
		return failed(target, err)
	}
	return newQueue(found)
}

func newQueue(found filelock.Queue) Queue {
	q := Queue{Path: found.Path, Tickets: []Ticket{}}
	behind := false // somebody is ahead
	for i, t := range found.Tickets {
		shown := newTicket(t, i+1, behind)
		q.Tickets = append(q.Tickets, shown)
		q.Held = q.Held || inTheWay(t)
		behind = behind || inTheWay(t)
	}
	return q
}

// inTheWay reports whether a ticket keeps the lock from being free.
func inTheWay(t filelock.Ticket) bool { return t.State != filelock.Dead && t.State != filelock.Resting }

// within calls f, and does not wait for it longer than the filesystem may take.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answer, errUnanswered)
	defer cancel()
	return unlessDone(ctx, f)
}

// unlessDone calls f, and does not wait for it longer than until ctx is done.
func unlessDone[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var value, none T
	var err error
	if inTime, _ := wake.Until(ctx.Done(), func() { value, err = f() }); !inTime {
		return none, context.Cause(ctx)
	}
	return value, err
}
