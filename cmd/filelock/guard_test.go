//go:build unix

package main

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/filelock-go/filelock/internal/liveness"
)

func init() {
	// gone FILE: the process whose pid is in FILE must end; or, negated, it runs now.
	commands["gone"] = gone
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	ended := func() bool {
		state := liveness.Ask(pid, 0)
		return state == liveness.ProcessGone || state == liveness.ProcessZombie
	}
	if !neg {
		poll(ts, "end of the process in "+args[0], ended)
	} else if ended() {
		ts.Fatalf("the process in %s has ended", args[0])
	}
}
