package cli

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/filelock-go/filelock"
)

// newLogger returns a logger for people to read.
func newLogger(w io.Writer) *zap.Logger {
	cfg := zap.NewDevelopmentEncoderConfig()
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.NameKey = zapcore.OmitKey // it is our own command
	cfg.ConsoleSeparator = " "
	enc := zapcore.NewConsoleEncoder(cfg)
	return zap.New(zapcore.NewCore(enc, zapcore.AddSync(w), zap.DebugLevel))
}

// announcing returns log for the use of the lock, such that whenever the lock
// logs that it waits, a line on who holds it follows.
func announcing(log *zap.Logger, target string, opts []filelock.Option) *zap.Logger {
	return log.WithOptions(zap.Hooks(func(e zapcore.Entry) error {
		if e.Message != "wait" {
			return nil
		}
		q, err := filelock.Inspect(target, opts...)
		if err != nil {
			log.Debug("held", zap.Error(err))
			return nil
		}
		if holder, ok := q.Holder(); ok {
			log.Debug("held", zap.Stringer("by", holder), zap.String("command", holder.Command))
		}
		return nil
	}))
}
