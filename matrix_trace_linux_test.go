package filelock_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// call is one system call of a contender's thread: the nth of its name.
type call struct {
	name   string
	nth    int
	phase  string // New, Acquire or Unlock
	object string // what it is about
	does   string // what it is for, where the name does not tell
}

// Objects of calls.
const (
	another = "another's ticket"
	own     = "the own ticket"
	// unrelated is a purpose of fcntl that has nothing to do with files' locks.
	unrelated = "unrelated"
)

// tracedCalls are those of errnos. Not every machine has all of them.
var tracedCalls = func() string {
	return "?" + strings.Join(slices.Sorted(maps.Keys(errnos)), ",?")
}()

var (
	lineOfTrace = regexp.MustCompile(`^(\w+)\((.*)\) += `)
	quoted      = regexp.MustCompile(`"([^"]*)"`)
	ofFD        = regexp.MustCompile(`^(?:AT_FDCWD|\d+)<([^>]*)>`)
	lockOfFile  = regexp.MustCompile(`F_OFD_(\w+), \{l_type=F_(\w+),.* l_start=(\d+)`)
)

// callsOf returns the calls in a trace.
func callsOf(trace, dir string, pid int) (calls []*call) {
	phase := ""
	count := map[string]int{}
	for line := range strings.Lines(trace) {
		m := lineOfTrace.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name, args := m[1], m[2]
		count[name]++
		if name == "faccessat" {
			_, phase, _ = strings.Cut(quoted.FindStringSubmatch(args)[1], "/mark/")
			continue
		}
		if phase == "" || phase == "end" {
			continue
		}
		c := &call{name: name, nth: count[name], phase: phase, object: objectOf(args, dir, pid)}
		switch {
		case name == "kill":
			c.object = "a process"
		case strings.Contains(args, "O_CREAT"):
			c.does = "create"
		case name == "fcntl":
			c.does = purposeOf(args, c.object)
		}
		calls = append(calls, c)
	}
	return calls
}

// objectOf tells what a call is about.
func objectOf(args, dir string, pid int) string {
	path := ""
	if m := ofFD.FindStringSubmatch(args); m != nil {
		path = m[1]
	}
	if m := quoted.FindStringSubmatch(args); m != nil && m[1] != "" {
		path = m[1]
	}
	path = strings.TrimSuffix(path, " (deleted)")
	base := filepath.Base(path)
	switch {
	case path == "" || strings.Contains(path, "inotify") || strings.Contains(path, "eventpoll"):
		if strings.Contains(args, "inotify") {
			return "inotify"
		}
		return "the system"
	case strings.HasSuffix(base, ".scratch"):
		return "a scratch entry"
	case strings.HasSuffix(base, ".raised"):
		return "a raised entry"
	case strings.Contains(base, ".lock.") && strings.Contains(base, fmt.Sprintf(".%d.", pid)):
		return own
	case strings.Contains(base, ".lock."):
		return another
	case path == dir || path == ".":
		return "the directory"
	case base == "target":
		return "the target"
	case strings.HasPrefix(dir, path+"/"):
		return "the way there"
	case strings.HasPrefix(path, "/proc/"):
		return numbers.ReplaceAllString(path, "/proc/PID/")
	default:
		return "the system"
	}
}

var numbers = regexp.MustCompile(`/proc/\d+/`)

// purposeOf tells what a lock is for.
func purposeOf(args, object string) string {
	m := lockOfFile.FindStringSubmatch(args)
	switch {
	case m == nil:
		return unrelated
	case m[1] == "GETLK" && m[3] == "0":
		return "look at the entry"
	case m[1] == "GETLK":
		return "look at the witness"
	case m[2] == "UNLCK":
		return "give up"
	case object == another:
		return "bar the entry"
	case m[3] == "0":
		return "take the entry"
	default:
		return "take the witness"
	}
}

func (c *call) String() string {
	var text string
	if text = c.name; c.does != "" {
		text += ", " + c.does
	}
	return text
}

var createdTicket = regexp.MustCompile(`openat\(\S+ "(/\S+)/target\.lock\.[^."]*\.(\d+)\.[^"]*", [^)]*O_CREAT`)
