//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary also the commands that the scripts run.
func TestMain(m *testing.M) {
	testscript.Main(heeding{m}, map[string]func(){
		"filelock": main,
		"child":    child,
		"blocking": blocking,
	})
}

// heeding runs the tests, but not what they start.
type heeding struct{ m *testing.M }

func (h heeding) Run() int {
	// Where the tests were started with signals ignored, as by nohup(1), the
	// commands would be, and leave them so. Those that are caught here are not.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return h.m.Run()
}

// TestScripts runs the scripts of testdata; commands says what they have
// besides testscript's own. Where several systems differ they are written for
// Unix, so elsewhere there is no test.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setup,
		Cmds:                commands,
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// setup makes room for what a script will spawn.
func setup(env *testscript.Env) error {
	p := &processes{running: map[string]*process{}}
	env.Values[processesKey{}] = p
	env.Defer(p.killAll)
	return nil
}

// condition knows the conditions besides testscript's own.
func condition(name string) (bool, error) {
	switch name {
	case "terminal":
		inside, outside, err := terminal()
		if err == nil {
			inside.Close()
			outside.Close()
		}
		return err == nil, nil
	case "sealing":
		return sealing()
	case "fuse":
		return mayMount(), nil
	case "containers":
		return mayUnshare(), nil
	default:
		return false, fmt.Errorf("there is no condition %q", name)
	}
}

// sealing reports whether a directory's mode keeps this process from writing.
func sealing() (bool, error) {
	dir, err := os.MkdirTemp("", "sealed-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o555); err != nil {
		return false, err
	}
	return errors.Is(os.Mkdir(filepath.Join(dir, "below"), 0o777), fs.ErrPermission), nil
}
