//go:build unix && !linux

package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// spawnTTY needs a terminal, which each system makes in its own way.
func spawnTTY(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("there is no terminal for tests on this system")
}

func terminal() (inside, outside *os.File, err error) { return nil, nil, errors.ErrUnsupported }

func ownTerminal() *syscall.SysProcAttr { return nil }
