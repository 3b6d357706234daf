// Command bench measures filelock beside its rivals and beside the bare system
// calls, on Linux, and writes tables, plots and the raw figures.
//
//	cd bench && go run .
//
// takes less than ten minutes on two cores, which should have nothing else to
// do. Progress is shown on standard error. It writes results.json, results.md
// and the plots, *.svg.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/scenario"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

func main() {
	worker.Main()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	only := flag.String("only", "", "run the scenarios whose `names` this regular expression matches")
	quick := flag.Bool("quick", false, "measure for about a minute, too short to quote")
	out := flag.String("out", ".", "write the results to this `directory`")
	disk := flag.String("dir", os.TempDir(), "work in this `directory`, which should be on a disk")
	shm := flag.String("shm", "/dev/shm", "work in this `directory` too, which should be on tmpfs; empty for none")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected arguments %q", flag.Args())
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	results, err := scenario.Run(scenario.Config{
		Disk: *disk, Shm: *shm, Only: names, Quick: *quick, Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	return write(results, *out)
}

func write(results *report.Run, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	plots, err := results.Plots(dir, scenario.Pictures())
	if err != nil {
		return err
	}
	text := func(f *os.File) error { return results.Markdown(f, plots) }
	data := func(f *os.File) error { return results.JSON(f) }
	return errors.Join(create(filepath.Join(dir, "results.md"), text), create(filepath.Join(dir, "results.json"), data))
}

func create(path string, fill func(*os.File) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}
