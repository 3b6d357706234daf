package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock/cmd/filelock/internal/benchmark"
	"github.com/filelock-go/filelock/cmd/filelock/internal/verify"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// workerName is the subcommand that verify and bench start processes with.
const workerName = "worker"

func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:    workerName,
		Short:  "A part of verify and bench, started by these",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tasks := verify.Tasks()
			maps.Copy(tasks, benchmark.Tasks())
			if err := worker.Main(tasks, cmd.InOrStdin(), cmd.OutOrStdout()); err != nil {
				return exit(exitOS, err)
			}
			return nil
		},
	}
}

// workerCommand is the command that runs newWorker's.
func workerCommand() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("to start processes: %w", err)
	}
	return []string{path, workerName}, nil
}

// endedBy is the cause of a context that a signal has ended.
type endedBy struct{ signal os.Signal }

func (e endedBy) Error() string { return "ended by " + e.signal.String() }

func (e endedBy) number() int {
	if s, ok := e.signal.(syscall.Signal); ok {
		return int(s)
	}
	return 0
}

// ended returns a context that ends when a signal asks for that, so that what was begun
// can be cleaned up. A second one ends this process at once.
func ended(ctx context.Context) (context.Context, func()) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	for _, s := range endings {
		if !signal.Ignored(s) { // as by nohup
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(endedBy{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
