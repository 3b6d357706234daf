package verify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/internal/wake"
)

// contention is what a contender is to do.
type contention struct {
	Referee, Key string
	Target       string
	For, Hold    time.Duration
}

const (
	// patience is how long one acquisition may take beyond the whole contest.
	patience = 20 * time.Second
	// mostFailures is after how many a contender gives up.
	mostFailures = 5
)

// contend is the task of a contender: it takes the lock again and again, and tells the
// referee.
func contend(ctx context.Context, spec json.RawMessage, _ io.Reader, _ io.Writer) error {
	var c contention
	if err := json.Unmarshal(spec, &c); err != nil {
		return err
	}
	line, err := referee.Call(ctx, c.Referee, c.Key)
	if err != nil {
		return err
	}
	defer line.Close()
	if err := c.run(ctx, line); err != nil {
		return err
	}
	return line.Mention(referee.Ends, "")
}

func (c *contention) run(ctx context.Context, line *referee.Line) error {
	lock, err := filelock.New(c.Target, filelock.WithSlog(slog.New(placeTeller{line: line})))
	if err != nil {
		return line.Say(referee.Fails, err.Error())
	}
	defer func() { _ = lock.Close() }() // what rests would stay, should nobody clean up
	failures := 0
	for end := time.Now().Add(c.For); time.Now().Before(end) && failures < mostFailures && ctx.Err() == nil; {
		switch got, err := c.once(ctx, lock, line, end); {
		case err != nil:
			return err
		case !got:
			failures++
		}
		if rand.N(4) > 0 { // else at once again
			_ = wake.Sleep(ctx, rand.N(2*c.Hold))
		}
	}
	return nil
}

// once takes the lock once. Its error is one of telling the referee.
func (c *contention) once(ctx context.Context, lock *filelock.FileLock, line *referee.Line, end time.Time) (got bool, err error) {
	if err := line.Say(referee.Asks, ""); err != nil {
		return false, err
	}
	ctx, cancel := context.WithDeadline(ctx, end.Add(patience))
	defer cancel()
	if err := lock.Acquire(ctx); err != nil {
		return false, line.Say(referee.Fails, err.Error())
	}
	if err := c.inside(ctx, line); err != nil {
		return true, errors.Join(err, lock.Unlock()) // the referee is gone
	}
	if err := lock.Unlock(); err != nil {
		return false, line.Say(referee.Fails, err.Error())
	}
	return true, nil
}

// inside holds the lock.
func (c *contention) inside(ctx context.Context, line *referee.Line) error {
	if err := line.Say(referee.Enters, ""); err != nil {
		return err
	}
	_ = wake.Sleep(ctx, c.Hold)
	return line.Say(referee.Leaves, "")
}

// placeTeller tells the referee of the steps in the queue of which only the log tells.
type placeTeller struct {
	line *referee.Line
}

func (p placeTeller) Enabled(context.Context, slog.Level) bool { return true }

func (p placeTeller) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "wait": // the doorway is behind it: its number is final
		return p.line.Mention(referee.Queues, "")
	case "restart":
		return p.line.Mention(referee.Restarts, "")
	}
	return nil
}

func (p placeTeller) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p placeTeller) WithGroup(string) slog.Handler      { return p }
