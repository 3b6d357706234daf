package filelock_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
