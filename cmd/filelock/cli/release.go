package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
)

func newRelease() *cobra.Command {
	var f lookFlags
	cmd := &cobra.Command{
		Use:                   "release [flags] [TARGET...]",
		DisableFlagsInUseLine: true,
		Short:                 "Give back what \"filelock hold\" holds for a script",
		Long: `Release ends the processes by which "filelock hold" holds locks for this script, and
so gives back those locks: all, or those of the TARGETs. It returns when they are free.

Exit code: 0, or 71 if none of the locks was held any more, or one cannot be given back;
64 if nothing was ever held.`,
		RunE: func(cmd *cobra.Command, targets []string) error {
			return release(cmd.Context(), targets, f.options())
		},
	}
	f.define(cmd.Flags())
	return cmd
}

func release(ctx context.Context, targets []string, opts []filelock.Option) error {
	named, err := parseTargets(targets)
	if err != nil {
		return err
	}
	if inService(named) {
		return errNoHold
	}
	var holders []holder
	for _, line := range lines(os.Getenv(envHolder)) {
		h, err := parseHolder(line)
		if err != nil {
			return err
		}
		holders = append(holders, h)
	}
	if len(holders) == 0 {
		return errors.New(`nothing is held for this script: evaluate what "filelock hold" prints`)
	}
	if len(targets) > 0 {
		if holders, err = holdersOf(ctx, targets, holders, opts); err != nil {
			return err
		}
	}
	alive := 0
	var errs []error
	for _, h := range holders {
		if h.lives() {
			alive++
			errs = append(errs, h.end())
		}
	}
	if alive == 0 {
		errs = append(errs, errors.New("the lock is not held any more: it was released before, or lost"))
	}
	if err := errors.Join(errs...); err != nil {
		return exit(exitOS, err)
	}
	return nil
}

// holdersOf returns those of holders who hold one of the targets: the tickets are those
// that the script was told of, since on another host a process may have the same pid.
func holdersOf(ctx context.Context, targets []string, holders []holder, opts []filelock.Option) (of []holder, err error) {
	for _, target := range targets {
		q, err := inspect(ctx, target, opts...)
		if err != nil {
			return nil, lookFailed(err)
		}
		i := slices.IndexFunc(holders, func(h holder) bool {
			return slices.ContainsFunc(q.Tickets, func(t filelock.Ticket) bool {
				return t.PID == h.PID && t.State != filelock.Dead && slices.ContainsFunc(heldAround(), sameTicket(t.Path))
			})
		})
		if i < 0 {
			return nil, exit(exitOS, fmt.Errorf("%s is not held for this script", ticket.Quote(q.Path)))
		}
		of = append(of, holders[i])
	}
	return of, nil
}

func (h holder) lives() bool {
	switch liveness.Ask(h.PID, h.Start) {
	case liveness.ProcessGone, liveness.ProcessZombie, liveness.ProcessOther:
		return false
	}
	return true
}

// releaseLimit is how long a holder may take to give its locks back.
const releaseLimit = 10 * time.Second

// end ends the holder, which gives its locks back, and waits until it is gone.
func (h holder) end() error {
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	// Only now, that p stands for one process, is it known whether it is the right one.
	if !h.lives() {
		return nil
	}
	gone, err := watchProcess(h.PID)
	if err == nil {
		err = p.Signal(endHolder)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the holder, process %d: %w", h.PID, err)
	}
	select {
	case <-gone:
		return nil
	case <-time.After(releaseLimit):
		return fmt.Errorf("the holder, process %d, has not ended within %v", h.PID, releaseLimit)
	}
}
