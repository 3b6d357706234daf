package filelock_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

// logged is an entry, whatever it was written by.
type logged struct {
	level, logger, msg string
	caller             bool
	fields             map[string]any
}

// throughZap returns an option that logs, and what was logged since the last call.
func throughZap(level zapcore.Level) (opt filelock.Option, take func() []logged) {
	core, logs := observer.New(level)
	log := zap.New(core, zap.AddCaller()).Named("app")
	return filelock.WithLogger(log), func() (entries []logged) {
		for _, e := range logs.TakeAll() {
			entries = append(entries, logged{
				level: e.Level.CapitalString(), logger: e.LoggerName, msg: e.Message, caller: e.Caller.Defined, fields: e.ContextMap(),
			})
		}
		return entries
	}
}

// records is a slog.Handler.
type records struct {
	level slog.Level
	with  map[string]any
	all   *[]logged
	mu    *sync.Mutex
}

func (r records) Enabled(_ context.Context, level slog.Level) bool { return level >= r.level }

func (r records) WithGroup(string) slog.Handler { panic("no groups") }

func (r records) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := map[string]any{}
	for _, a := range attrs {
		with[a.Key] = a.Value.Any()
	}
	r.with = with
	return r
}

func (r records) Handle(_ context.Context, rec slog.Record) error {
	e := logged{level: rec.Level.String(), msg: rec.Message, caller: rec.PC != 0, fields: map[string]any{}}
	e.logger = fmt.Sprint("app.", r.with["logger"])
	rec.Attrs(func(a slog.Attr) bool {
		e.fields[a.Key] = a.Value.Any()
		if err, ok := a.Value.Any().(error); ok {
			e.fields[a.Key] = err.Error() // as zap's observer has it
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.all = append(*r.all, e)
	return nil
}

func throughSlog(level slog.Level) (opt filelock.Option, take func() []logged) {
	r := records{level: level, all: new([]logged), mu: new(sync.Mutex)}
	return filelock.WithSlog(slog.New(r)), func() []logged {
		r.mu.Lock()
		defer r.mu.Unlock()
		entries := *r.all
		*r.all = nil
		return entries
	}
}

// TestLog: every step is logged, at debug level, with fields to search by; and
// what an operator may want to know at warn level. By zap and by slog alike.
func TestLog(t *testing.T) {
	for name, through := range map[string]func() (filelock.Option, func() []logged){
		"zap":  func() (filelock.Option, func() []logged) { return throughZap(zap.DebugLevel) },
		"slog": func() (filelock.Option, func() []logged) { return throughSlog(slog.LevelDebug) },
	} {
		t.Run(name, func(t *testing.T) {
			opt, take := through()
			requireLog(t, opt, take)
		})
	}
}

// wantLogged is an entry that must come; of those fields that are not named here, no
// matter which.
type wantLogged struct {
	level, msg string
	fields     map[string]any // nil: anything, but it must be there
}

func requireLog(t *testing.T, opt filelock.Option, take func() []logged) {
	path := target(t)
	l := newLock(t, path, opt)
	pid := int64(os.Getpid())
	expect := func(want ...wantLogged) {
		t.Helper()
		got := take()
		require.Len(t, got, len(want), "%v", got)
		for i, e := range got {
			require.Equal(t, want[i].level+" "+want[i].msg, e.level+" "+e.msg)
			require.Equal(t, "app.filelock", e.logger)
			require.False(t, e.caller, "a caller within this package")
			require.Equal(t, l.Path(), e.fields["path"])
			require.NotContains(t, e.fields["ticket"], "target")
			require.Contains(t, e.fields["ticket"], fmt.Sprint(".", pid, "."))
			for key, value := range want[i].fields {
				require.Contains(t, e.fields, key, e.msg)
				if value != nil {
					require.EqualValues(t, value, e.fields[key], "%s %s", e.msg, key)
				}
			}
		}
	}

	// Locks with lines of their own have tickets of their own, which wait for each
	// other; the middle one is ahead, but not the holder.
	first, second := newLock(t, path, filelock.WithLease(time.Hour)), newLock(t, path)
	second.OwnLine()
	acquire(t, first)
	middle := start(func() error { return second.Acquire(context.Background()) })
	settled(t, path, 2)
	waiting := start(func() error { return l.Acquire(context.Background()) })
	settled(t, path, 3)
	var entries []logged
	eventually(t, "the wait", func() bool { entries = append(entries, take()...); return len(entries) >= 2 })
	again := take
	take = func() []logged { return append(entries, again()...) }
	expect(wantLogged{"DEBUG", "enqueue", nil}, wantLogged{"DEBUG", "wait", map[string]any{
		"for": nil, "host": entries[1].fields["holder_host"], "pid": pid, "holder_host": nil, "holder_pid": pid, "position": 3,
	}})
	entries = nil
	require.NoError(t, first.Unlock())
	require.NoError(t, result(t, middle))
	require.NoError(t, second.Unlock())
	require.NoError(t, result(t, waiting))
	require.NoError(t, l.Unlock())
	// A look while the two left may have seen the first one still and the other one not
	// any more, which is one more wait.
	left := slices.DeleteFunc(take(), func(e logged) bool { return e.msg == "wait" })
	take = func() []logged { return left }
	expect(wantLogged{"DEBUG", "acquire", map[string]any{"waited": nil}}, wantLogged{"DEBUG", "release", map[string]any{"held": nil}})

	// A dead one's ticket, and a lost one.
	take = again
	self := identity()
	if self.PIDSpace == 0 {
		t.Skip("nothing can be told of pids here")
	}
	prefix := ticket.Prefix(filepath.Base(path))
	dead := ticket.Name{Host: self.Host, PID: 1<<22 + 1, PIDSpace: self.PIDSpace, Nonce: ticket.NewNonce()}
	file := filepath.Join(filepath.Dir(path), dead.Format(prefix))
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(file, past, past))
	require.NoError(t, l.TryLock())
	expect(wantLogged{"DEBUG", "enqueue", nil}, wantLogged{"WARN", "reclaim", map[string]any{
		"other": strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), prefix), ".pid"), "host": self.Host, "pid": dead.PID, "reason": nil,
	}}, wantLogged{"DEBUG", "acquire", map[string]any{"waited": nil}})
	for _, name := range tickets(t, filepath.Dir(path)) {
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), name)))
	}
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	got := take()
	require.Equal(t, "lost", got[len(got)-1].msg)
	require.Equal(t, "WARN", got[len(got)-1].level)
	require.Contains(t, got[len(got)-1].fields["error"], "lost")
}

// TestLogLevels: nothing below a logger's level is written, whatever another one
// beside it wants; each has all that it wants.
func TestLogLevels(t *testing.T) {
	all := []string{"enqueue", "acquire", "release", "lost"}
	warnings := []string{"lost"}
	for _, tt := range []struct {
		zap, slog         bool // at debug level, or else at warn
		wantZap, wantSlog []string
	}{
		{true, true, all, all}, {true, false, all, warnings}, {false, true, warnings, all}, {false, false, warnings, warnings},
	} {
		zapLevel, slogLevel := zap.WarnLevel, slog.LevelWarn
		if tt.zap {
			zapLevel = zap.DebugLevel
		}
		if tt.slog {
			slogLevel = slog.LevelDebug
		}
		zapped, fromZap := throughZap(zapLevel)
		slogged, fromSlog := throughSlog(slogLevel)
		replaced, fromReplaced := throughSlog(slog.LevelDebug)
		l := newLock(t, target(t), replaced, zapped, slogged)
		require.NoError(t, l.TryLock())
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(l.Path()), tickets(t, filepath.Dir(l.Path()))[0])))
		require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
		require.Equal(t, tt.wantZap, messages(fromZap()))
		require.Equal(t, tt.wantSlog, messages(fromSlog()))
		require.Empty(t, fromReplaced(), "the last of a kind counts")
	}
}

func messages(entries []logged) (all []string) {
	for _, e := range entries {
		all = append(all, e.msg)
	}
	return all
}
