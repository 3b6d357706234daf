package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/filelock-go/filelock"
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

	mu    sync.Mutex
	wait  filelock.Wait
	news  chan struct{}
	shown bool
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

// draw draws the line, again and again, until stop is closed.
func (l *liveLine) draw() {
	select {
	case <-time.After(liveAfter):
	case <-l.stop:
		return
	}
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		// What is in the background leaves the terminal to others.
		if inForeground() {
			l.mu.Lock()
			text := liveText(l.wait, time.Since(l.wait.Since))
			l.mu.Unlock()
			// A line that is wider than the terminal could not be taken back.
			fmt.Fprint(l.out, "\r", shorten(text, columns(l.out)-1), "\x1b[K")
			l.shown = true
		}
		select {
		case <-tick.C:
		case <-l.news:
		case <-l.stop:
			return
		}
	}
}

// clear ends the drawing and takes the line away.
func (l *liveLine) clear() {
	close(l.stop)
	l.begun.Do(func() {}) // none begins any more
	l.idle.Wait()
	if l.shown {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

func liveText(w filelock.Wait, waited time.Duration) string {
	// What is shortest comes first: a narrow terminal shows no more.
	return fmt.Sprintf("waiting %v for %s, position %d: %s", waited.Truncate(time.Second),
		printable(filepath.Base(w.Path)), w.Position, holderOf(w.Holder))
}

// shorten cuts text to so many columns, if there are any.
func shorten(text string, columns int) string {
	if columns <= 0 || utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:columns-1]) + "…"
}
