package keyqueue

import (
	"context"
	"strings"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/wake"
)

// net is how long nothing may be heard before a waiter looks for itself. A watch
// may end, or be cut off, without a word.
const net = 5 * time.Second

// Wait implements engine.Ticket.
func (t *Ticket) Wait(ctx context.Context) error {
	pause := firstPause
	var known acquaintance
	defer known.end()
	for t.nearest != "" {
		told, err := t.watch(ctx, &known)
		if err != nil {
			return err
		}
		if told {
			pause = firstPause
			continue
		}
		if wake.Sleep(ctx, pause) != nil { // the watch ends again and again
			return t.ended(ctx)
		}
		pause = min(2*pause, lastPause)
	}
	t.guard()
	return nil
}

// watch waits until the nearest key is gone or another one, or until it is time to
// look, and looks. It reports whether the watch was any good.
func (t *Ticket) watch(ctx context.Context, known *acquaintance) (told bool, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	unset := time.AfterFunc(net, stop)
	changed, err := t.queue.store.Watch(watching, t.nearest)
	unset.Stop()
	if err != nil {
		return false, t.look(ctx)
	}
	// What happened before the watch was set is told by nobody.
	nearest, err := t.stillThere(ctx)
	if err != nil || nearest == nil {
		return true, err
	}
	known.turnTo(t.queue.process, *nearest)
	timer := time.NewTimer(net)
	defer timer.Stop()
	select {
	case err = <-changed:
		told = err == nil
	case <-known.ended:
		known.bury(ctx, t.queue)
		told = true
	case <-timer.C:
		told = true
	case <-ctx.Done():
		return true, t.ended(ctx)
	}
	return told, t.look(ctx)
}

// ended is the error of a wait that its context ended.
func (t *Ticket) ended(ctx context.Context) error {
	if t.silent || time.Since(t.heard) > net+attempt {
		return silent(ctx)
	}
	return ctx.Err()
}

// stillThere returns the nearest ticket, or looks who is if it is gone: then it is nil.
// Nobody can have come between it and the own one.
func (t *Ticket) stillThere(ctx context.Context) (*Entry, error) {
	a, err := t.ask(ctx, Get{Key: t.nearest})
	if err != nil {
		return nil, err
	}
	if e := a.Gets[1].Entries; len(e) > 0 && e[0].Created < t.created() {
		return &e[0], nil
	}
	return nil, t.look(ctx)
}

// look finds out who is ahead now.
func (t *Ticket) look(ctx context.Context) error {
	a, err := t.ask(ctx, Get{Key: t.queue.prefix, Prefix: true, Below: t.created(), Bare: true})
	if err != nil {
		return err
	}
	rivals := t.queue.rivals(t.shared)
	lower, nearest := a.Gets[1].Entries, ""
	for _, e := range lower {
		if strings.HasPrefix(e.Key, rivals) {
			nearest = e.Key
		}
	}
	if nearest == "" {
		t.stands(nil, "", 0)
		return nil
	}
	first := lower[:1]
	if known, _ := t.Ahead(); known.Serial != uint64(first[0].Created) {
		a, err := t.ask(ctx, Get{Key: first[0].Key})
		if err != nil {
			return err
		}
		first = a.Gets[1].Entries // it may be gone by now
	} else {
		first = nil
	}
	t.stands(first, nearest, len(lower))
	return nil
}

// ask asks for the own key, without which nothing else matters, and for more.
func (t *Ticket) ask(ctx context.Context, more Get) (a Answer, err error) {
	txn := Txn{Then: []Op{Get{Key: t.key(), Bare: true}, more}}
	err = persist(ctx, func(attempt context.Context) (err error) {
		a, err = t.queue.store.Commit(attempt, txn)
		t.silent = err != nil && ctx.Err() == nil
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return a, t.ended(ctx)
	case err != nil:
		return a, err
	}
	t.heard = time.Now()
	if own := a.Gets[0].Entries; len(own) == 0 || own[0].Created != t.created() {
		return a, engine.ErrGone
	}
	return a, nil
}

// stands notes whom the ticket has to wait for, if anybody, and who is first.
func (t *Ticket) stands(first []Entry, nearest string, ahead int) {
	if t.nearest = nearest; nearest == "" {
		t.saw([]engine.Contender{t.Self()}, 0)
		return
	}
	t.saw(t.queue.contenders(first), ahead)
}

func (t *Ticket) saw(first []engine.Contender, ahead int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ahead = ahead
	if len(first) > 0 {
		t.first = first[0]
	}
}

func (q *Queue) contenders(entries []Entry) (all []engine.Contender) {
	for _, e := range entries {
		all = append(all, q.process.contender(q.prefix, e))
	}
	return all
}
