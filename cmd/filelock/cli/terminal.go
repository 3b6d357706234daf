package cli

import (
	"os"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/filelock-go/filelock/internal/wake"
)

// usualWidth is that of a terminal that does not tell its own.
const usualWidth = 80

// fitting cuts a line so that it does not wrap at a terminal: what is wider could not be
// taken back.
func fitting(text string, terminal *os.File) string {
	width := columns(terminal)
	if width <= 0 {
		width = usualWidth
	}
	return ansi.Truncate(text, width-1, "…")
}

// outputPatience is how long an output may take to be written.
const outputPatience = 500 * time.Millisecond

// briefly calls f, which writes what people may want to read, and waits for it, but not
// for ever: a terminal takes nothing after Ctrl-S, nor a pipe that nobody reads.
func briefly(f func()) {
	wake.Within(outputPatience, f)
}
