package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const asWorker = "WORKER_TEST"

// stuck is how long to wait for what must happen.
const stuck = 20 * time.Second

var tasks = map[string]Func{
	"echo": func(_ context.Context, spec json.RawMessage, in io.Reader, out io.Writer) error {
		var prefix string
		if err := json.Unmarshal(spec, &prefix); err != nil {
			return err
		}
		line, err := bufio.NewReader(in).ReadString('\n')
		fmt.Fprint(out, prefix, line)
		return err
	},
	"wait": func(ctx context.Context, _ json.RawMessage, _ io.Reader, out io.Writer) error {
		fmt.Fprintln(out, "waits")
		<-ctx.Done()
		return nil
	},
	"fail": func(context.Context, json.RawMessage, io.Reader, io.Writer) error { return errors.New("it failed") },
}

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		if err := Main(tasks, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func begin(t *testing.T, name string, spec any) *Process {
	t.Helper()
	t.Setenv(asWorker, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	p, err := Start([]string{os.Args[0]}, name, spec)
	require.NoError(t, err)
	t.Cleanup(func() { p.Kill() })
	return p
}

// TestTell: the first line that a worker reads is the first that it was told.
func TestTell(t *testing.T) {
	p := begin(t, "echo", "you said ")
	require.NoError(t, p.Tell("go"))
	said, err := io.ReadAll(p.Out)
	require.NoError(t, err)
	require.Equal(t, "you said go\n", string(said))
	require.NoError(t, p.Wait())
	require.NoError(t, p.Wait(), "again")
	require.Greater(t, p.PID(), 0)
}

// TestDismiss: a worker ends when its input does, as when its parent dies.
func TestDismiss(t *testing.T) {
	p := begin(t, "wait", nil)
	_, err := p.Out.Read(make([]byte, 10))
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, p.Dismiss(stuck))
	require.Less(t, time.Since(began), stuck)
}

func TestFails(t *testing.T) {
	require.ErrorContains(t, begin(t, "fail", nil).Wait(), "it failed")
	require.ErrorContains(t, begin(t, "nonsense", nil).Wait(), "there is no task")
	_, err := Start([]string{"/nonexistent"}, "echo", nil)
	require.Error(t, err)
	require.ErrorContains(t, Main(tasks, strings.NewReader("by hand"), io.Discard), "started by other subcommands")
}

func TestTail(t *testing.T) {
	var last tail
	for range 1000 {
		_, err := last.Write([]byte("0123456789"))
		require.NoError(t, err)
	}
	require.Len(t, last.text(), tailSize)
}
