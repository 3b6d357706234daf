package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock/cmd/filelock/internal/benchmark"
	"github.com/filelock-go/filelock/cmd/filelock/internal/chart"
	"github.com/filelock-go/filelock/internal/ticket"
)

const benchLong = `Bench measures how long it takes to get a lock in DIR and to give it back: free, and
among goroutines and processes that want it all the time and do nothing with it.

The figures are of this machine and this filesystem, and of what else runs here
just now: compare only what was measured side by side. It leaves nothing in DIR.

Exit code: 0; 64 wrong usage; 66 DIR does not exist; 71 the system refused something.`

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:                   "bench [flags] DIR",
		Short:                 "Measure how long locks in a directory take",
		Long:                  benchLong,
		DisableFlagsInUseLine: true,
		Args:                  oneDir,
		RunE:                  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	set := cmd.Flags()
	set.DurationVar(&f.time, "time", time.Second, "how long each scenario lasts")
	set.StringVar(&f.svg, "svg", "", "draw it into `FILE`")
	set.BoolVar(&f.json, "json", false, "as JSON")
	return cmd
}

// benchFlags are the arguments of "filelock bench".
type benchFlags struct {
	time time.Duration
	svg  string
	json bool
}

func (f *benchFlags) run(cmd *cobra.Command, dir string) error {
	if f.time <= 0 {
		return errors.New("--time: want more than zero")
	}
	std := streamsOf(cmd)
	bar := newBar(std.err)
	o := benchmark.Options{For: f.time, Progress: bar.show}
	var err error
	if o.Dir, err = filepath.Abs(dir); err == nil {
		o.Worker, err = workerCommand()
	}
	if err != nil {
		return exit(exitOS, err)
	}
	ctx, stop := ended(cmd.Context())
	defer stop()
	r, err := benchmark.Run(ctx, o)
	bar.clear()
	if err != nil {
		return testFailed(ctx, err)
	}
	var undrawn error
	if f.svg != "" {
		undrawn = draw(f.svg, times(r).Draw)
	}
	if err := errors.Join(f.print(std.out, r), undrawn); err != nil {
		return exit(exitOS, err)
	}
	return nil
}

func (f *benchFlags) print(out io.Writer, r benchmark.Report) error {
	if f.json {
		return writeJSON(out, r)
	}
	fmt.Fprintf(out, "%s: %s, %d processors, %s\n\n", ticket.Quote(r.Dir), r.System, r.CPUs, r.Go)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tUSES A SECOND\tMEDIAN\t99 %\tLONGEST\tFEWEST/MOST OF A PROCESS")
	for _, s := range r.Results {
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%d/%d\n", s.Name, s.PerSecond, span(s.P50), span(s.P99), span(s.Max), s.Least, s.Most)
	}
	return w.Flush()
}

// times makes the picture's contents.
func times(r benchmark.Report) chart.Times {
	t := chart.Times{
		Title:    "How long a lock takes in " + ticket.Quote(r.Dir),
		Subtitle: fmt.Sprintf("from the question to its return; %s, %d processors, %s", r.System, r.CPUs, r.Go),
	}
	for _, s := range r.Results {
		t.Measures = append(t.Measures, chart.Measure{
			Name: s.Name, P50: seconds64(s.P50), P99: seconds64(s.P99), Note: fmt.Sprintf("%s, %.0f a second", span(s.P50), s.PerSecond),
		})
	}
	return t
}

func seconds64(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
