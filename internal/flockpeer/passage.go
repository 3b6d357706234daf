package flockpeer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/turn"
)

// Passage is a passage through our queue, and then past the peers. Its turn is that
// of the queue, with the flock. The flock is taken last and given back first; a turn
// that is passed on within the process goes with it.
type Passage struct {
	turn.Passage
	file    *File
	kind    Kind
	observe func(turn.Event) // may be nil

	ours  bool  // it is its turn among ours
	held  *lock // nil: it does not have the flock
	lost  atomic.Bool
	past  bool                           // Wait or Try has told that the turn was lost
	fail  error                          // of giving the flock back, which Leave has yet to return
	peer  atomic.Pointer[turn.Contender] // whom it waits for
	told  func()                         // of a wait for a peer; nil is nobody
	looks chan struct{}                  // has room for one look whether the turn is still there; nil: it has not waited yet
}

var (
	_ turn.Passage    = (*Passage)(nil)
	_ turn.Witnessed  = (*Passage)(nil)
	_ turn.Bequeather = (*Passage)(nil)
	_ turn.Requeuer   = (*Passage)(nil)
	_ turn.Observable = (*Passage)(nil)
	_ turn.Standing   = (*Passage)(nil)
)

// Through returns the passage that goes on from p past the peers.
func (f *File) Through(p turn.Passage, kind Kind, observe func(turn.Event)) *Passage {
	return &Passage{Passage: p, file: f, kind: kind, observe: observe}
}

// Wait implements turn.Passage.
func (p *Passage) Wait(ctx context.Context) error {
	if !p.ours {
		if err := p.Passage.Wait(ctx); err != nil {
			return err
		}
		p.ours = true
	}
	l, err := p.file.try(ctx, p.kind)
	if errors.Is(err, errRefused) {
		p.waits()
		if l, err = p.await(ctx); err != nil && ctx.Err() != nil {
			p.look() // by now it may be another one
		}
	}
	return p.enter(ctx, l, err)
}

var errLost = fmt.Errorf("%w while a peer had the flock", turn.ErrLost)

// await waits for the peers to leave, for as long as it is our turn: another of ours
// may have it otherwise, and would find this one among the peers.
func (p *Passage) await(ctx context.Context) (*lock, error) {
	if p.looks == nil {
		p.looks = make(chan struct{}, 1)
	}
	waits, end := context.WithCancelCause(ctx)
	go p.watch(waits, p.Passage.Losing(), p.Standing(), end)
	l, err := p.file.wait(waits, p.kind)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(waits), turn.ErrLost) {
		err = errLost
	}
	end(nil)
	p.awaitLook()
	return l, err
}

// lookPatience is how long the end of a wait waits for a look at the own turn. It takes
// one system call, or what a server makes of it.
const lookPatience = 100 * time.Millisecond

// awaitLook makes sure that nobody looks any more, if possible: the place may be
// another passage's soon.
func (p *Passage) awaitLook() {
	timer := time.NewTimer(lookPatience)
	defer timer.Stop()
	select {
	case p.looks <- struct{}{}:
		<-p.looks
	case <-timer.C:
	}
}

// watchInterval is how often who waits for a peer looks whether its turn is still there.
const watchInterval = time.Second

// watch ends a wait when the turn is lost.
func (p *Passage) watch(waits context.Context, losing <-chan struct{}, stands func() error, end context.CancelCauseFunc) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-waits.Done():
			return
		case <-losing:
			end(errLost)
			return
		case <-ticker.C:
		}
		select {
		case p.looks <- struct{}{}:
		default:
			continue // a server has not answered who looked before
		}
		var err error
		if waits.Err() == nil {
			err = stands()
		}
		<-p.looks
		if errors.Is(err, turn.ErrLost) {
			end(err)
			return
		}
	}
}

// Try implements turn.Passage.
func (p *Passage) Try(ctx context.Context) error {
	if !p.ours {
		if err := p.Passage.Try(ctx); err != nil {
			return err
		}
		p.ours = true
	}
	l, err := p.file.try(ctx, p.kind)
	if errors.Is(err, errRefused) {
		p.look()
		return turn.ErrBusy
	}
	return p.enter(ctx, l, err)
}

// enter is the end of Wait and Try.
func (p *Passage) enter(ctx context.Context, l *lock, err error) error {
	if err == nil && p.Passage.Lost() {
		err = errLost
	}
	p.past = errors.Is(err, turn.ErrLost)
	switch {
	case err == nil:
		p.held = l
		p.peer.Store(nil)
		return nil
	case l != nil:
		_ = p.file.release(l)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()) && p.peer.Load() == nil:
		return fmt.Errorf("%w: %w", turn.ErrUnanswered, err) // nobody said who has it
	}
	return err
}

// waits tells whom the passage waits for.
func (p *Passage) waits() {
	peer := p.look()
	if p.observe != nil {
		p.observe(turn.Event{Step: turn.Waits, ID: p.Passage.Report().First.ID, Other: peer, Ahead: p.Report()})
	}
	if p.told != nil {
		p.told()
	}
}

// look notes who has the flock.
func (p *Passage) look() turn.Contender {
	peer := turn.Contender{
		ID: p.file.path, PID: ownerOf(p.file.path), FlockPeer: true, State: turn.Inside, Reason: "it has a flock on the file",
	}
	if self, err := liveness.Self(); err == nil {
		peer.Host = self.Host
	}
	peer.Self = peer.PID == os.Getpid()
	p.peer.Store(&peer)
	return peer
}

// Report implements turn.Passage.
func (p *Passage) Report() turn.Report {
	if peer := p.peer.Load(); peer != nil {
		return turn.Report{First: *peer, Known: true, Ahead: 1}
	}
	return p.Passage.Report()
}

// OnWait implements turn.Observable.
func (p *Passage) OnWait(f func()) {
	p.told = f
	if o, ok := p.Passage.(turn.Observable); ok {
		o.OnWait(f)
	}
}

// Survey implements turn.Observable. While a peer has the flock, that is all there is to
// see.
func (p *Passage) Survey(age time.Duration) turn.Report {
	o, ok := p.Passage.(turn.Observable)
	if p.peer.Load() != nil || !ok {
		return p.Report()
	}
	return o.Survey(age)
}

// Standing implements turn.Standing. Whether the flock is still there shows when it is
// given back.
func (p *Passage) Standing() func() error {
	if s, ok := p.Passage.(turn.Standing); ok {
		return s.Standing()
	}
	return func() error { return nil }
}

// Resumable implements turn.Passage. The turn among ours is kept.
func (p *Passage) Resumable(err error) bool {
	if !p.ours {
		return p.Passage.Resumable(err)
	}
	return errors.Is(err, turn.ErrBusy) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Lost implements turn.Passage.
func (p *Passage) Lost() bool { return p.lost.Load() || p.Passage.Lost() }

// Leave implements turn.Passage.
func (p *Passage) Leave() error {
	p.release()
	err := p.fail
	left := p.Passage.Leave()
	if p.past && errors.Is(left, turn.ErrLost) {
		left = nil // nobody need hear of it again
	}
	p.ours, p.past, p.fail = false, false, nil
	switch {
	case err == nil:
		return left
	case left == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, left)
}

// release gives the flock back.
func (p *Passage) release() {
	l := p.held
	if p.held = nil; l == nil {
		return
	}
	p.fail = p.file.release(l)
	if errors.Is(p.fail, turn.ErrLost) {
		p.lost.Store(true)
		if p.observe != nil {
			p.observe(turn.Event{Step: turn.LostTurn, ID: p.Passage.Report().First.ID, Err: p.fail, Inside: true})
		}
	}
}

// Requeue implements turn.Requeuer. If something went wrong with the flock, that is
// for Leave to say.
func (p *Passage) Requeue() bool {
	p.release()
	r, ok := p.Passage.(turn.Requeuer)
	if p.fail != nil || !ok || !r.Requeue() {
		return false
	}
	p.ours = false
	return true
}

var errAlone = fmt.Errorf("%w: an heir would have the ticket and not the flock (WithFlockPeers)", errors.ErrUnsupported)

// Witness implements turn.Witnessed.
func (p *Passage) Witness() (*os.File, error) { return nil, errAlone }

// Heritable implements turn.Bequeather.
func (p *Passage) Heritable() error { return errAlone }

// Bequeath implements turn.Bequeather. It is not called.
func (p *Passage) Bequeath() error { return p.Leave() }
