package filelock_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// fault is one run to make.
type fault struct {
	situation *situation
	call      *call
	errno     string
}

// faultsOf returns the faults to make in a situation, in the order of its calls.
func faultsOf(s *situation, calls []*call) (faults []fault) {
	for _, c := range calls {
		if c.does == unrelated || s.of != nil && !s.of(c) || s.far && c.name == "fstatfs" || c.name == "epoll_ctl" && c.object != "inotify" {
			continue
		}
		for _, errno := range strings.Fields(errnos[c.name]) {
			// That there is no such file is the one thing that is believed at once.
			if errno == "ENOENT" && c.object == another && c.name != "fstat" && c.name != "inotify_add_watch" && c.name != "unlinkat" {
				continue
			}
			faults = append(faults, fault{s, c, errno})
		}
	}
	return faults
}

// representative returns some of the faults: each purpose of each call once, with
// an error that was not there yet if there is one, each call with EINTR, and each
// situation.
func representative(all []fault) (some []fault) {
	used := map[string]int{}
	take := func(f fault, keys ...string) {
		if f.situation.slow || !slices.ContainsFunc(keys, func(k string) bool { return used[k] == 0 }) {
			return
		}
		for _, k := range append(keys, f.errno) {
			used[k]++
		}
		some = append(some, f)
	}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].call == all[0].call {
			n++
		}
		of := all[:n]
		all = all[n:]
		f := slices.MinFunc(of, func(x, y fault) int { return cmp.Compare(used[x.errno], used[y.errno]) })
		if i := slices.IndexFunc(of, fault.tempting); i >= 0 {
			f = of[i]
		}
		take(f, f.call.name+f.call.does+f.call.object, f.errno, f.situation.name)
		if of[0].errno == "EINTR" {
			take(of[0], "EINTR of "+f.call.name)
		}
	}
	return some
}

// tempting is an answer about an open ticket that looks like one about its name.
func (f fault) tempting() bool {
	return f.call.object == another && f.call.name == "fstat" && f.errno == "ENOENT"
}

// TestMatrix has the system calls of an acquisition and its release fail, one at a
// time: never are two inside, nothing is left, and the next acquisition succeeds.
//
// It makes a part of all faults, or all with -matrix.
func TestMatrix(t *testing.T) {
	requireStrace(t)
	requireOneKernel(t, t.TempDir())
	var faults []fault
	var undisturbed []finding
	for i := range situations {
		s := &situations[i]
		t.Run("undisturbed/"+s.name, func(t *testing.T) {
			if s.slow && !*matrixWhole {
				t.Skip("takes a while; with -matrix")
			}
			f, trace := play(t, s, nil, "")
			require.Empty(t, f.wrong)
			if s.try {
				require.Equal(t, report{Acquire: "ErrLocked"}, f.report)
			} else {
				require.Equal(t, report{}, f.report)
			}
			undisturbed = append(undisturbed, f)
			// Which directory and process it was, the trace tells itself.
			m := createdTicket.FindStringSubmatch(trace)
			require.NotNil(t, m, trace)
			var pid int
			fmt.Sscan(m[2], &pid)
			faults = append(faults, faultsOf(s, callsOf(trace, m[1], pid))...)
		})
	}
	all := len(faults)
	if !*matrixWhole {
		faults = representative(faults)
	}
	var mu sync.Mutex
	var findings []finding
	began := time.Now()
	t.Run("faults", func(t *testing.T) {
		for _, fault := range faults {
			name := fmt.Sprintf("%s/%s %d of %s: %s", fault.situation.name, fault.call, fault.call.nth, fault.call.object, fault.errno)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f, trace := play(t, fault.situation, fault.call, fault.errno)
				if len(f.wrong) > 0 {
					t.Logf("%s", trace)
				}
				t.Logf("what the user saw: %s", f.sees())
				mu.Lock()
				findings = append(findings, f)
				mu.Unlock()
				if len(f.wrong) > 0 {
					t.Errorf("(!) %s; it saw %+v", strings.Join(f.wrong, ", "), f.report)
				}
			})
		}
	})
	injected := 0
	for _, f := range findings {
		if f.injected {
			injected++
		}
	}
	t.Logf("%d of %d faults, %d of them happened, in %v", len(faults), all, injected, time.Since(began).Round(time.Second))
	require.Greater(t, injected, len(findings)*3/4, "most faults did not come to happen")
	if *matrixWrite {
		require.NoError(t, os.WriteFile("docs/matrix.md", table(findings, len(faults), injected), 0o644))
	}
}

var createdTicket = regexp.MustCompile(`openat\(\S+ "(/\S+)/target\.lock\.[^."]*\.(\d+)\.[^"]*", [^)]*O_CREAT`)

// matrixRow is one line of the table.
type matrixRow struct {
	call, object string
	errnos       map[string]bool
	sees         string
	left, later  string
	runs         int
	late         time.Duration
}

// table writes what was found.
func table(findings []finding, made, injected int) []byte {
	rows := map[string]*matrixRow{}
	wrong := 0
	for _, f := range findings {
		if !f.injected {
			continue
		}
		r := &matrixRow{call: f.call.String(), object: f.call.object, errnos: map[string]bool{}, sees: f.sees(), left: "no", later: "succeeds"}
		if f.lingered {
			r.left = "for a moment"
		}
		if len(f.wrong) > 0 {
			wrong++
			r.later = "(!) " + strings.Join(f.wrong, ", ")
		}
		key := strings.Join([]string{r.call, r.object, r.sees, r.left, r.later}, "\x00")
		if rows[key] == nil {
			rows[key] = r
		}
		r = rows[key]
		r.errnos[f.errno] = true
		r.runs++
		r.late = max(r.late, f.late)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, matrixHead, made, machine(), injected, wrong, matrixSituations())
	order := slices.SortedFunc(maps.Values(rows), func(x, y *matrixRow) int {
		return cmp.Or(cmp.Compare(x.call, y.call), cmp.Compare(x.object, y.object), cmp.Compare(x.sees, y.sees), cmp.Compare(x.left, y.left))
	})
	var worst time.Duration
	for _, r := range order {
		worst = max(worst, r.late)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d |\n", r.call, r.object,
			strings.Join(slices.Sorted(maps.Keys(r.errnos)), " "), r.sees, r.left, r.later, r.runs)
	}
	fmt.Fprintf(&b, "\nWho had to wait came in %v after the holder had left at the latest.\n", worst.Round(time.Millisecond))
	return b.Bytes()
}

// sees tells what the user sees of a fault.
func (f *finding) sees() string {
	for _, s := range [...]struct{ from, what string }{
		{"New", f.report.New}, {"Acquire", f.report.Acquire}, {"Unlock", f.report.Unlock},
	} {
		switch s.what {
		case "":
		case "ErrLocked":
			return "nothing" // it was locked
		case f.errno:
			return "itself, from " + s.from
		case "ErrLocked and " + f.errno:
			return "itself, beside ErrLocked, from " + s.from
		default:
			return s.what + ", from " + s.from
		}
	}
	return "nothing"
}

func matrixSituations() string {
	var b strings.Builder
	for _, s := range situations {
		fmt.Fprintf(&b, "- %s\n", s.name)
	}
	return b.String()
}

// machine names the kernel.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u)
	version := unix.ByteSliceToString(u.Release[:])
	return "Linux " + strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
}

const matrixHead = `# Every system call, every error

A filesystem may refuse anything at any time. This table says what comes of it:
one contender's system calls failed, one call in each run. %d faults were made on
%s; %d of them came to happen (for the others the contender did not make as many
calls that time). After each run it was looked whether two had been inside at
once, by a counter in shared memory that does not trust the lock; whether the
contender's ticket was left; whether the contender, and then another process, can
acquire the lock after that. In %d runs one of these was not as it should be: they
are marked (!).

The situations are:

%s
"Many kernels" is what is done where other machines may mount the filesystem too:
there fstatfs fails throughout, so that the directory is taken for one of those.

"Itself" is the error as the system gave it, wrapped, with what was done to which
file; "nothing" is that the lock was acquired and released, or, in a try, that it
was busy. An error of Unlock means that the ticket is still there: the lock is
given up all the same, and the ticket is removed in the background ("for a
moment"). EINTR is never shown. Where several lines differ in what the user sees
only, the call was made for several purposes, or several times.

Absence is the one answer that is believed at once: a filesystem that says ENOENT
of the name of a ticket that is there is beyond help, and that is left out.

The table is written by a test, which runs the contender under strace. That has the
kernel answer one call of the contender's thread with an error instead of making
it:

	go test . -run TestMatrix -matrix -matrix.write -timeout 1h

Without the flags the test makes some of the faults, wherever strace may be used.

| call | of | error | what the user sees | ticket left? | later | runs |
|---|---|---|---|---|---|---|
`
