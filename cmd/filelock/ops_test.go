//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	// waitstatus N PHASE TARGET: wait until status shows a ticket in that position and phase.
	commands["waitstatus"] = waitStatus
	// plainticket TARGET HOST PID: make a ticket as a plain program on a host would.
	// Both names may have escapes as in Go.
	commands["plainticket"] = plainTicket
	// ticketof VARIABLE TARGET [N]: set it to the name of the ticket in a position (1).
	commands["ticketof"] = ticketOf
	// holderof FILE TARGET: write the pid of the process that "filelock hold" has left into a file,
	// once that has told what it holds (Linux).
	commands["holderof"] = holderOf
	// waitname PREFIX: wait until something here has a name that begins so.
	commands["waitname"] = waitName
	// joins VARIABLE NAME: set it to what the spawned verify says others join it with.
	commands["joins"] = joins
}

// shown is what the scripts read of status --json.
type shown struct {
	Queues []struct {
		Tickets []struct {
			Position int
			Phase    string
			PID      int
			Path     string
		}
	}
}

func statusOf(ts *testscript.TestScript, target string) (s shown) {
	out, _ := processesOf(ts).command(ts, []string{"filelock", "status", "--json", target}).Output()
	_ = json.Unmarshal(out, &s) // what cannot be read shows nothing
	return s
}

func waitStatus(ts *testscript.TestScript, neg bool, args []string) {
	position := number(ts, args, 3)
	poll(ts, strings.Join(args, " "), func() bool {
		for _, q := range statusOf(ts, args[2]).Queues {
			for _, t := range q.Tickets {
				if t.Position == position && t.Phase == args[1] {
					return true
				}
			}
		}
		return false
	})
}

func plainTicket(ts *testscript.TestScript, neg bool, args []string) {
	var text [2]string
	for i := range text {
		var err error
		text[i], err = strconv.Unquote(`"` + args[i] + `"`)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(text[0]+".lock."+text[1]+"."+args[2]+".tok.pid"), nil, 0o644))
}

func ticketOf(ts *testscript.TestScript, neg bool, args []string) {
	position := 1
	if len(args) > 2 {
		position = number(ts, args[2:], 1)
	}
	for _, q := range statusOf(ts, args[1]).Queues {
		for _, t := range q.Tickets {
			if t.Position == position {
				ts.Setenv(args[0], filepath.Base(t.Path))
				return
			}
		}
	}
	ts.Fatalf("there is no ticket %d of %s", position, args[1])
}

func holderOf(ts *testscript.TestScript, neg bool, args []string) {
	poll(ts, "holder of "+args[1], func() bool {
		for _, q := range statusOf(ts, args[1]).Queues {
			for _, t := range q.Tickets {
				if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", t.PID)); to == os.DevNull {
					ts.Check(replace(ts.MkAbs(args[0]), strconv.Itoa(t.PID)))
					return true
				}
			}
		}
		return false
	})
}

func waitName(ts *testscript.TestScript, neg bool, args []string) {
	poll(ts, args[0], func() bool {
		entries, err := os.ReadDir(ts.MkAbs("."))
		ts.Check(err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), args[0]) {
				return true
			}
		}
		return false
	})
}

var joinCommand = regexp.MustCompile(`--join (\S+)`)

func joins(ts *testscript.TestScript, neg bool, args []string) {
	r := processesOf(ts).running[args[1]]
	poll(ts, "--join", func() bool {
		m := joinCommand.FindStringSubmatch(r.stderr.String())
		if m != nil {
			ts.Setenv(args[0], m[1])
		}
		return m != nil
	})
}
