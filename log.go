package filelock

import (
	"path/filepath"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/filelock-go/filelock/internal/turn"
)

// Logger is what WithLogger takes. Every *zap.Logger is one; it is an interface
// so that this package need not import zap itself, whose root package brings
// net/http with it.
type Logger interface {
	Check(level zapcore.Level, msg string) *zapcore.CheckedEntry
	Core() zapcore.Core
}

// journal writes what happens at one lock to a logger, or to none.
type journal struct {
	log  Logger // nil: nobody reads it
	path string
}

// debugging guards what costs an allocation where everybody passes.
func (j *journal) debugging() bool {
	return j.log != nil && j.log.Core().Enabled(zapcore.DebugLevel)
}

// steps are the messages for what happens to a passage.
var steps = [...]struct {
	msg   string
	level zapcore.Level
}{
	turn.Enqueued:  {"enqueue", zapcore.DebugLevel},
	turn.Waits:     {"wait", zapcore.DebugLevel},
	turn.Left:      {"leave", zapcore.DebugLevel},
	turn.Released:  {"release", zapcore.DebugLevel},
	turn.Restarted: {"restart", zapcore.DebugLevel},
	turn.Reclaimed: {"reclaim", zapcore.WarnLevel},
	turn.Skipped:   {"skip", zapcore.DebugLevel},
	turn.LostTurn:  {"lost", zapcore.WarnLevel},
	turn.Abandoned: {"left behind", zapcore.WarnLevel},
}

// observe logs what happens to a passage.
func (j *journal) observe(e turn.Event) {
	step := steps[e.Step]
	if e.Step == turn.Reclaimed && e.Other.State == turn.Resting {
		step.level = zapcore.DebugLevel // an operator need not know
	}
	if step.level == zapcore.DebugLevel && !j.debugging() {
		return
	}
	entry := j.log.Check(step.level, step.msg)
	if entry == nil {
		return
	}
	fields := []zapcore.Field{text("path", j.path), text("ticket", filepath.Base(e.ID))}
	if o := e.Other; o.ID != "" {
		key := "other"
		if e.Step == turn.Waits {
			key = "for"
		}
		fields = append(fields, text(key, filepath.Base(o.ID)), text("host", o.Host), number("pid", o.PID))
		if o.Reason != "" {
			fields = append(fields, text("reason", o.Reason))
		}
	}
	switch e.Step {
	case turn.Left:
		fields = append(fields, duration("waited", e.For))
	case turn.Released:
		fields = append(fields, duration("held", e.For))
	}
	if e.Err != nil {
		why := e.Err
		if e.Step != turn.Restarted { // which accuses nobody: it may just have been stopped
			why = explain(why)
		}
		fields = append(fields, zapcore.Field{Key: "error", Type: zapcore.ErrorType, Interface: why})
	}
	entry.Write(fields...)
}

func (j *journal) acquired(p turn.Passage, waited time.Duration) {
	if entry := j.log.Check(zapcore.DebugLevel, "acquire"); entry != nil {
		entry.Write(text("path", j.path), text("ticket", filepath.Base(p.Report().First.ID)), duration("waited", waited))
	}
}

func text(key, value string) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.StringType, String: value}
}

func number(key string, value int) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.Int64Type, Integer: int64(value)}
}

func duration(key string, value time.Duration) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.DurationType, Integer: int64(value)}
}
