package filelock

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/turn"
)

// Logger is what WithLogger takes. Every *zap.Logger is one; it is an interface
// so that this package need not import zap itself, whose root package brings
// net/http with it.
type Logger interface {
	Check(level zapcore.Level, msg string) *zapcore.CheckedEntry
	Core() zapcore.Core
}

// loggerName is the name under which entries are written.
const loggerName = "filelock"

// sink is where entries go.
type sink interface {
	enabled(level slog.Level) bool
	write(level slog.Level, msg string, fields []slog.Attr)
}

// zapSink writes to a Logger.
type zapSink struct{ log Logger }

func zapLevel(level slog.Level) zapcore.Level {
	if level >= slog.LevelWarn {
		return zapcore.WarnLevel
	}
	return zapcore.DebugLevel
}

func (z zapSink) enabled(level slog.Level) bool { return z.log.Core().Enabled(zapLevel(level)) }

func (z zapSink) write(level slog.Level, msg string, fields []slog.Attr) {
	entry := z.log.Check(zapLevel(level), msg)
	if entry == nil {
		return
	}
	if entry.LoggerName != "" {
		entry.LoggerName += "."
	}
	entry.LoggerName += loggerName
	entry.Caller = zapcore.EntryCaller{} // which is in this file
	out := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		out[i] = zapField(f)
	}
	entry.Write(out...)
}

func zapField(a slog.Attr) zapcore.Field {
	switch f := (zapcore.Field{Key: a.Key}); a.Value.Kind() {
	case slog.KindInt64:
		f.Type, f.Integer = zapcore.Int64Type, a.Value.Int64()
		return f
	case slog.KindDuration:
		f.Type, f.Integer = zapcore.DurationType, int64(a.Value.Duration())
		return f
	case slog.KindString:
		f.Type, f.String = zapcore.StringType, a.Value.String()
		return f
	default: // an error
		f.Type, f.Interface = zapcore.ErrorType, a.Value.Any()
		return f
	}
}

// slogSink writes to a slog.Handler, without a caller, which would be in this file.
type slogSink struct{ handler slog.Handler }

func newSlogSink(log *slog.Logger) slogSink {
	return slogSink{log.With(slog.String("logger", loggerName)).Handler()}
}

func (s slogSink) enabled(level slog.Level) bool {
	return s.handler.Enabled(context.Background(), level)
}

func (s slogSink) write(level slog.Level, msg string, fields []slog.Attr) {
	if !s.enabled(level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, msg, 0)
	record.AddAttrs(fields...)
	_ = s.handler.Handle(context.Background(), record) // as slog.Logger does: nobody hears of it
}

// journal writes what happens at one lock to loggers, or to none.
type journal struct {
	sinks  []sink
	path   string
	prefix string // of the tickets' names
}

func newJournal(cfg *config, path string, p *passage.Config) journal {
	j := journal{path: path, prefix: p.Queue.Prefix}
	if cfg.log != nil {
		j.sinks = append(j.sinks, zapSink{cfg.log})
	}
	if cfg.slog != nil {
		j.sinks = append(j.sinks, newSlogSink(cfg.slog))
	}
	return j
}

// debugging guards what costs an allocation where everybody passes.
func (j *journal) debugging() bool { return j.enabled(slog.LevelDebug) }

func (j *journal) enabled(level slog.Level) bool {
	for _, s := range j.sinks {
		if s.enabled(level) {
			return true
		}
	}
	return false
}

func (j *journal) write(level slog.Level, msg string, fields []slog.Attr) {
	for _, s := range j.sinks {
		s.write(level, msg, fields)
	}
}

// steps are the messages for what happens to a passage.
var steps = [...]struct {
	msg   string
	level slog.Level
}{
	turn.Enqueued:   {"enqueue", slog.LevelDebug},
	turn.Waits:      {"wait", slog.LevelDebug},
	turn.Left:       {"leave", slog.LevelDebug},
	turn.Released:   {"release", slog.LevelDebug},
	turn.Restarted:  {"restart", slog.LevelDebug},
	turn.Reclaimed:  {"reclaim", slog.LevelWarn},
	turn.Skipped:    {"skip", slog.LevelDebug},
	turn.LostTurn:   {"lost", slog.LevelWarn},
	turn.Abandoned:  {"left behind", slog.LevelWarn},
	turn.Circular:   {"deadlock", slog.LevelWarn},
	turn.Bequeathed: {"bequeath", slog.LevelDebug},
}

// observe logs what happens to a passage.
func (j *journal) observe(e turn.Event) {
	step := steps[e.Step]
	if e.Step == turn.Reclaimed && e.Other.State == turn.Resting {
		step.level = slog.LevelDebug // an operator need not know
	}
	if !j.enabled(step.level) {
		return
	}
	fields := j.about(e.ID)
	if o := e.Other; o.ID != "" {
		key := "other"
		if e.Step == turn.Waits {
			key = "for"
		}
		fields = append(fields, slog.String(key, j.short(o.ID)), slog.String("host", o.Host), slog.Int("pid", o.PID))
		if o.Reason != "" {
			fields = append(fields, slog.String("reason", o.Reason))
		}
	}
	switch e.Step {
	case turn.Waits:
		if first := e.Ahead.First; e.Ahead.Known {
			fields = append(fields, slog.String("holder_host", first.Host), slog.Int("holder_pid", first.PID))
		}
		fields = append(fields, slog.Int("position", e.Ahead.Ahead+1))
	case turn.Left:
		fields = append(fields, slog.Duration("waited", e.For))
	case turn.Released, turn.Bequeathed:
		fields = append(fields, slog.Duration("held", e.For))
	case turn.Circular:
		fields = append(fields, slog.String("circle", e.Circle))
	}
	if e.Err != nil {
		why := e.Err
		if e.Step != turn.Restarted { // which accuses nobody: it may just have been stopped
			why = explain(why)
		}
		fields = append(fields, slog.Any("error", why))
	}
	j.write(step.level, step.msg, fields)
}

func (j *journal) acquired(p turn.Passage, waited time.Duration) {
	j.write(slog.LevelDebug, "acquire", append(j.about(p.Report().First.ID), slog.Duration("waited", waited)))
}

// about returns the fields of every entry. There is no ticket where Reap removes
// another one.
func (j *journal) about(id string) []slog.Attr {
	fields := append(make([]slog.Attr, 0, 9), slog.String("path", j.path))
	if id != "" {
		fields = append(fields, slog.String("ticket", j.short(id)))
	}
	return fields
}

// short returns a ticket's name without what all tickets of the lock have in common.
func (j *journal) short(id string) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(id), j.prefix), ".pid")
}
