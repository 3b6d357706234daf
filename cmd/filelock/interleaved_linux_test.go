package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A job's data is never mixed with the next one's, however the first is ended: the next
// begins when the last process of the first is gone.
func TestDataIsNotInterleaved(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	for what, end := range map[string]func(s *stage, wrapper *started) error{
		"TERM to the wrapper": func(s *stage, w *started) error { return w.cmd.Process.Signal(unix.SIGTERM) },
		"KILL to the wrapper": func(s *stage, w *started) error { return w.cmd.Process.Kill() },
		"KILL to the script":  func(s *stage, w *started) error { return signalPID(s.file("script"), "KILL") },
		"TERM to the group":   func(s *stage, w *started) error { return unix.Kill(-w.cmd.Process.Pid, unix.SIGTERM) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			middle := 0
			for range rounds {
				s := &stage{t, tools[0], t.TempDir()}
				s.write("work", `for i in 0 1 2 3 4 5 6 7 8 9; do echo "$1" >>data; sleep 0.01; done`)
				s.write("job", "echo $$ >script; sh ./work A; sh ./work A; :")
				first := s.start(s.with("") + "sh ./job")
				s.file("data")
				next := s.start(s.with("") + "sh ./work B")
				time.Sleep(rand.N(150 * time.Millisecond))
				require.NoError(t, end(s, first))
				if n := len(strings.Fields(s.file("data"))); n < 20 {
					middle++
				}
				first.end()
				require.Equal(t, "exit 0", next.end())
				data := strings.Fields(s.file("data"))
				begin := strings.Index(strings.Join(data, ""), "B")
				require.NotContains(t, data[begin:], "A", "%v", data)
				require.Len(t, data[begin:], 10, "%v", data)
			}
			t.Logf("%d of %d ended in the middle of the first job", middle, rounds)
			require.Positive(t, middle)
		})
	}
}
