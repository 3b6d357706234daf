package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/ticket"
)

// errNested is matched when a run of the same target is around this one.
var errNested = errors.New("this very command runs under that lock")

// refuseNested fails if a run, or a script with "filelock hold", that holds one of the
// targets is around this process: it would wait for this one as this one for it.
//
// That it is around is known from the environment, and, where that was cleared, from
// the tickets that this process has open: it holds those locks itself, as an heir.
func refuseNested(ctx context.Context, f *lockFlags) error {
	around := append(heldAround(), openTickets()...)
	if len(around) == 0 {
		return nil
	}
	var opts []filelock.Option
	if f.queueDir != "" {
		opts = append(opts, filelock.WithQueueDir(f.queueDir))
	}
	for _, target := range f.named {
		if target.at != nil {
			continue // see refuseNestedIn
		}
		q, err := answered(ctx, target.text, func() (filelock.Queue, error) { return filelock.Inspect(target.text, opts...) })
		switch {
		case errors.Is(err, filelock.ErrUnanswered):
			return err
		case err != nil:
			continue // what is wrong with it, taking it tells
		}
		for _, t := range q.Tickets {
			if t.State == filelock.Dead || t.State == filelock.Resting || !slices.ContainsFunc(around, sameTicket(t.Path)) {
				continue
			}
			return fmt.Errorf("%s: %w: it would wait for itself (held by %s)", ticket.Quote(q.Path), errNested, t)
		}
	}
	return nil
}

// refuseNestedIn is refuseNested for the locks that are in services. The service has to
// be asked.
func refuseNestedIn(ctx context.Context, h *held) error {
	around := heldAround()
	if len(around) == 0 {
		return nil
	}
	for _, l := range h.locks {
		if l.target.at == nil {
			continue
		}
		all, err := h.services.list(ctx, l.target)
		if errors.Is(err, engine.ErrUnavailable) {
			return err
		}
		for _, c := range all { // none after other errors: what is wrong, taking it tells
			if slices.Contains(around, c.ID) {
				return fmt.Errorf("%s: %w: it would wait for itself (held by %s pid %d)", ticket.Quote(l.name()), errNested, ticket.Quote(c.Host), c.PID)
			}
		}
	}
	return nil
}

// sameTicket compares tickets by their names, which are never used again: the
// directory may have several paths. Of a target's name with line breaks only what
// follows the last one counts, as the environment has one path a line.
func sameTicket(path string) func(string) bool {
	name := lastLine(filepath.Base(path))
	return func(other string) bool { return lastLine(filepath.Base(other)) == name }
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }
