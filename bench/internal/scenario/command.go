package scenario

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
)

var command = Scenario{
	Name:  "command",
	Title: "The command",
	Note: "`filelock run TARGET true` beside util-linux's `flock FILE true`, from start to\n" +
		"end, and `true` alone. Eight at once: the time for all, divided by eight.",
	Beside: [2]string{"floor-true"},
	Compared: []report.Comparison{
		{Text: "The command with a free lock", Case: "free", Metric: commandTime.Name},
	},
	run: runCommand,
}

var commandTime = report.Metric{Name: "time", Unit: report.Nanoseconds, Better: report.Less}

// invocation is a command line that is measured.
type invocation struct {
	report.Contestant
	argv []string
}

func runCommand(b *Bench) error {
	dir := b.disk().dir
	ours := filepath.Join(dir, "filelock")
	if err := buildCommand(ours); err != nil {
		b.say("left out: %v", err)
		return nil
	}
	is := []invocation{
		{report.Contestant{Key: report.Ours, Name: "filelock run", Short: "filelock"}, []string{ours, "run", b.disk().target("command"), "true"}},
		{report.Contestant{Key: "floor-true", Name: "floor: true", Short: "floor: true", Floor: true}, []string{"true"}},
	}
	if _, err := exec.LookPath("flock"); err != nil {
		b.say("flock is left out: %v", err)
	} else {
		is = append(is, invocation{
			report.Contestant{Key: "flock", Name: "util-linux flock", Short: "flock(1)"},
			[]string{"flock", b.disk().target("command-flock"), "true"},
		})
	}
	for _, i := range is {
		b.Run.Name(i.Contestant)
	}
	const together = 8
	return b.rounds("free, then 8 at once", func(round int) error {
		for range b.pick(20, 5) {
			for _, i := range turn(round, is) {
				began := time.Now()
				if err := i.run(); err != nil {
					return err
				}
				b.add("free", commandTime, i.Key, float64(time.Since(began)))
			}
		}
		for _, i := range turn(round, is) {
			began := time.Now()
			if err := i.several(together); err != nil {
				return err
			}
			b.add("8 at once", commandTime, i.Key, float64(time.Since(began))/together)
		}
		return nil
	})
}

func (i invocation) run() error {
	out, err := exec.Command(i.argv[0], i.argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", i.Name, err, out)
	}
	return nil
}

func (i invocation) several(n int) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- i.run() }()
	}
	var all []error
	for range n {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// buildCommand builds our command, in the module that this one stands in.
func buildCommand(to string) error {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/filelock-go/filelock").Output()
	if err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", to, ".")
	// The command is a module of its own.
	build.Dir = filepath.Join(strings.TrimSpace(string(dir)), "cmd", "filelock")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
