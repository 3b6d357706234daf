package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	// liveAfter is how long a wait lasts before a line is shown of it.
	liveAfter = 300 * time.Millisecond
	liveEvery = time.Second
)

// liveLine is one line of a terminal that shows a wait: who is inside, the own
// position, and for how long.
type liveLine struct {
	out   *os.File
	begun sync.Once
	stop  chan struct{}
	idle  sync.WaitGroup

	mu   sync.Mutex
	wait filelock.Wait
	news chan struct{}
}

func newLiveLine(out *os.File) *liveLine {
	return &liveLine{out: out, stop: make(chan struct{}), news: make(chan struct{}, 1)}
}

// show shows w, now or soon.
func (l *liveLine) show(w filelock.Wait) {
	l.mu.Lock()
	l.wait = w
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	l.begun.Do(func() { l.idle.Go(l.draw) })
}

// draw draws the line, again and again, until stop is closed. Then it takes the line away.
// What is in the background leaves the terminal to others.
func (l *liveLine) draw() {
	select {
	case <-time.After(liveAfter):
	case <-l.stop:
		return
	}
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	shown := false
	for {
		if inForeground() {
			l.mu.Lock()
			text := liveText(l.wait, time.Since(l.wait.Since))
			l.mu.Unlock()
			// A line that is wider than the terminal could not be taken back.
			fmt.Fprint(l.out, "\r", fitting(text, l.out), "\x1b[K")
			shown = true
		}
		select {
		case <-tick.C:
		case <-l.news:
		case <-l.stop:
			if shown && inForeground() {
				fmt.Fprint(l.out, "\r\x1b[K")
			}
			return
		}
	}
}

// clear ends the drawing, and returns when the line has been taken away.
func (l *liveLine) clear() {
	close(l.stop)
	l.begun.Do(func() {}) // none begins any more
	briefly(l.idle.Wait)
}

func liveText(w filelock.Wait, waited time.Duration) string {
	// What is shortest comes first: a narrow terminal shows no more.
	return fmt.Sprintf("waiting %v for %s, position %d: %s", waited.Truncate(time.Second),
		ticket.Quote(filepath.Base(w.Path)), w.Position, holderOf(w.Holder))
}
