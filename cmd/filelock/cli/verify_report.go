package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/chart"
	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
	"github.com/filelock-go/filelock/cmd/filelock/internal/verify"
	"github.com/filelock-go/filelock/internal/ticket"
)

// describe writes the report for people to read.
func describe(out io.Writer, r verify.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	kernels := "many kernels may mount it"
	if r.OneKernel {
		kernels = "one kernel mounts it"
	}
	fmt.Fprintf(w, "%s: %s, %s\n\n", ticket.Quote(r.Dir), ticket.Quote(r.Filesystem), kernels)
	fmt.Fprintln(w, "PROPERTY\tGRADE\tBETWEEN\tRESULT")
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", ticket.Quote(f.Property), ticket.Quote(string(f.Grade)), ticket.Quote(f.Between), overview.Line(f.Result))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	hosts := "hosts"
	if len(r.Hosts) == 1 {
		hosts = "host"
	}
	fmt.Fprintf(out, "\n%d processes on %d %s for %.1f s: %d holds, %d overlaps; %d of %d that are known to have come later were served earlier\n",
		r.Processes, len(r.Hosts), hosts, r.Seconds, r.Holds, r.Overlaps, r.Overtakings, r.Ordered)
	fmt.Fprintf(out, "wait:     median %s, 90 %% %s, 99 %% %s, longest %s\n", span(r.Waits.P50), span(r.Waits.P90), span(r.Waits.P99), span(r.Waits.Max))
	fmt.Fprintf(out, "hand-off: median %s, 90 %% %s, 99 %% %s, longest %s, two messages to the referee included\n",
		span(r.Handoffs.P50), span(r.Handoffs.P90), span(r.Handoffs.P99), span(r.Handoffs.Max))
	_, err := fmt.Fprintf(out, "\nverdict: %s\n", r.Verdict)
	for _, why := range r.Why {
		_, err = fmt.Fprintf(out, "  - %s\n", overview.Line(why))
	}
	return err
}

// span is a number of seconds for people to read.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	}
	return d.String()
}

// timeline makes the picture's contents.
func timeline(r verify.Report) chart.Timeline {
	t := chart.Timeline{
		Title:   fmt.Sprintf("%s (%s)", ticket.Quote(r.Dir), ticket.Quote(r.Filesystem)),
		Verdict: fmt.Sprintf("%s: %d holds, %d overlaps, %d of %d out of order", r.Verdict, r.Holds, r.Overlaps, r.Overtakings, r.Ordered),
		Length:  r.Score.Lasted,
	}
	for i, c := range r.Contenders {
		row := chart.Row{Name: fmt.Sprintf("%s %d", c.Host, c.PID)}
		for _, s := range r.Score.Spans[i] {
			row.Uses = append(row.Uses, chart.Use(s))
		}
		t.Rows = append(t.Rows, row)
	}
	for _, o := range r.Score.Overlaps {
		t.Overlaps = append(t.Overlaps, o.At)
	}
	return t
}

// draw makes a picture in a file, or leaves what was there. What is no regular file, such
// as /dev/stdout, is written to and not replaced.
func draw(file string, picture func(io.Writer) error) error {
	switch info, err := os.Stat(file); {
	case err != nil: // most likely there is none
	case !info.Mode().IsRegular():
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(picture(f), f.Close())
	default:
		if real, err := filepath.EvalSymlinks(file); err == nil {
			file = real // a link stays one
		}
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // if it is still there
	err = picture(f)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
