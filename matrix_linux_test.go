package filelock_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	matrixWhole = flag.Bool("matrix", false, "TestMatrix: every call and every error, which takes a quarter of an hour")
	matrixWrite = flag.Bool("matrix.write", false, "TestMatrix: write docs/matrix.md")
)

// errnos are what each call may answer, in this world or in that of a server.
// Absence is a fact: that another's ticket is not there is not in it, but for
// those calls by which nobody concludes that.
var errnos = map[string]string{
	"openat":            "EINTR EIO ESTALE ENOENT EACCES EPERM EMFILE ENOSPC EROFS ELOOP ENXIO ENODEV ENOMEM EBUSY",
	"newfstatat":        "EINTR EIO ESTALE ENOENT EACCES EPERM ELOOP ENOMEM",
	"statx":             "EINTR EIO ESTALE ENOENT EACCES ELOOP ENOMEM",
	"readlinkat":        "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fstat":             "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fstatfs":           "EINTR EIO ENOMEM",
	"lseek":             "EINTR EIO ENXIO",
	"getdents64":        "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fcntl":             "EINTR EIO ESTALE EACCES EAGAIN ENOLCK ENOMEM",
	"utimensat":         "EINTR EIO ESTALE ENOENT EACCES EPERM ENOSPC EROFS ENOMEM EBUSY",
	"unlinkat":          "EINTR EIO ESTALE ENOENT EACCES EPERM ENOSPC EROFS ENOMEM EBUSY",
	"fchmod":            "EINTR EIO ESTALE EACCES EPERM ENOSPC EROFS ENOMEM",
	"close":             "EINTR EIO ENOSPC",
	"kill":              "EINTR EIO EPERM",
	"inotify_init1":     "EMFILE ENOMEM",
	"inotify_add_watch": "EINTR EIO ESTALE ENOENT EACCES ENOSPC ENOMEM",
	"inotify_rm_watch":  "EIO EINTR",
	"epoll_ctl":         "EPERM ENOSPC ENOMEM",
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
				f := finding{situation: fault.situation.name, call: fault.call, errno: fault.errno, injected: true}
				defer func() {
					if t.Failed() && len(f.wrong) == 0 {
						f.wrong = []string{"it failed"}
					}
					mu.Lock()
					defer mu.Unlock()
					findings = append(findings, f)
				}()
				var trace string
				f, trace = play(t, fault.situation, fault.call, fault.errno)
				t.Logf("what the user saw: %s", f.sees())
				if len(f.wrong) > 0 {
					t.Errorf("(!) %s; it saw %+v; its calls:\n%s", strings.Join(f.wrong, ", "), f.report, trace)
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
