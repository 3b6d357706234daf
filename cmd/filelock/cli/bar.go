package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// bar shows how far something is, in one line of a terminal; elsewhere nothing.
type bar struct {
	out *os.File // nil: there is no terminal

	mu   sync.Mutex
	last string
}

func newBar(out io.Writer) *bar {
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		return &bar{out: f}
	}
	return &bar{}
}

const barWidth = 30

// show shows that a part done of it is done, from 0 to 1, and what comes next.
func (b *bar) show(done float64, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := int(done * barWidth)
	line := fmt.Sprintf("[%s%s] %3.0f %% %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*done, what)
	if b.out == nil {
		return
	}
	if line = fitting(line, b.out); line == b.last {
		return
	}
	b.last = line
	fmt.Fprintf(b.out, "\r%s\x1b[K", line)
}

// clear removes the line.
func (b *bar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out != nil && b.last != "" {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
	b.last = ""
}
