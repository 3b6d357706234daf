package passage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

var (
	_ turn.Standing = (*Passage)(nil)
	_ turn.Prompt   = (*Passage)(nil)
)

// Prompt implements turn.Prompt.
func (p *Passage) Prompt() bool { return p.cfg.Site.Prompt() }

// Standing implements turn.Standing. Where a server is asked, the look is one of its
// own, since it may go on when the ticket is removed.
func (p *Passage) Standing() func() error {
	look := p.stands
	if !p.cfg.Site.prompt.Load() {
		name := p.dir.Name()
		look = func() error { return standsFar(p.cfg, name) }
	}
	return func() error {
		err := look()
		switch {
		case errors.Is(err, queue.ErrGone):
			p.lose(err)
			return fmt.Errorf("%w: %w", turn.ErrLost, err)
		case err == nil && p.Lost(): // a lease may have run out by the own clock only
			return turn.ErrLost
		}
		return err
	}
}

func standsFar(cfg *Config, name string) error {
	v, err := ticketdir.Open(cfg.Queue)
	if err != nil {
		return err
	}
	defer v.Close()
	_, err = v.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = queue.ErrGone
	}
	return err
}

// Within calls f, which may ask the filesystem, and returns what it does. When ctx
// is done first, and a server may be at fault, it returns turn.ErrUnanswered, and f
// goes on with nobody to hear of it.
func Within[T any](ctx context.Context, s *Site, f func() (T, error)) (T, error) {
	if ctx.Done() == nil || s.prompt.Load() {
		return f()
	}
	var value, none T
	var err error
	inTime, ended := wake.Until(ctx.Done(), func() { value, err = f() })
	if !inTime {
		s.unanswered.Add(1)
		go func() { <-ended; s.unanswered.Add(-1) }()
		return none, fmt.Errorf("%w: %w", turn.ErrUnanswered, ctx.Err())
	}
	return value, err
}
