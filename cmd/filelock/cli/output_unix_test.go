//go:build unix

package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/verify"
)

func picture(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// TestDraw: a picture takes the place of a file as a whole, and that of nothing else.
func TestDraw(t *testing.T) {
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	require.NoError(t, draw(file, picture("one")))
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, draw(link, picture("two")))
	require.FileExists(t, link)
	to, err := os.Readlink(link)
	require.NoError(t, err, "the link stays one")
	require.Equal(t, "file", to)
	require.Equal(t, "two", contents(t, file))

	failed := errors.New("failed")
	require.ErrorIs(t, draw(file, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return failed }), failed)
	require.Equal(t, "two", contents(t, file))
	require.Error(t, draw(dir, picture("three")))

	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	text := make(chan string, 1)
	go func() { text <- contents(t, pipe) }()
	require.NoError(t, draw(pipe, picture("four")))
	info, err := os.Lstat(pipe)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeNamedPipe, "it was replaced")
	require.Equal(t, "four", <-text)
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func contents(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// TestUndrawn: a report that was hard to come by is told even if its picture cannot be
// drawn.
func TestUndrawn(t *testing.T) {
	var out strings.Builder
	f := verifyFlags{svg: filepath.Join(t.TempDir(), "missing", "file")}
	r := verify.Report{Verdict: verify.Safe}
	r.Contenders = []referee.Contender{{Host: "h", PID: 1}}
	r.Score.Spans = make([][]referee.Span, 1)
	err := f.tell(&out, r)
	require.ErrorIs(t, err, syscall.ENOENT)
	require.Contains(t, out.String(), "verdict: safe")
}

// TestDescribePlain: what another host says neither breaks lines nor changes a terminal.
func TestDescribePlain(t *testing.T) {
	const evil = "x\x1b[2J\ny"
	var out strings.Builder
	r := verify.Report{Dir: evil, Filesystem: evil, Verdict: verify.Safe, Why: []string{evil}}
	r.Findings = []probe.Finding{{Property: evil, Grade: probe.Grade(evil), Between: evil, Result: evil}}
	require.NoError(t, describe(&out, r))
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\ny")
}

// TestFitting: a line that can be taken back is one column less wide than its terminal,
// however wide its characters are.
func TestFitting(t *testing.T) {
	noTerminal, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer noTerminal.Close()
	for _, text := range []string{"short", strings.Repeat("x", 500), strings.Repeat("鎖", 100), strings.Repeat("🔒", 79)} {
		got := fitting(text, noTerminal)
		require.LessOrEqual(t, ansi.StringWidth(got), usualWidth-1, text)
		require.True(t, strings.HasPrefix(text, strings.TrimSuffix(got, "…")))
	}
}

// TestMessage: messages name this command's flags.
func TestMessage(t *testing.T) {
	require.Equal(t, "filelock: it (--create-dirs creates missing directories); use --queue-dir with a directory",
		message(errors.New("it (WithCreateDirs creates missing directories); use WithQueueDir with a directory")))
}

// TestWriteJSON: what others wrote is what a program reads, and changes no terminal.
func TestWriteJSON(t *testing.T) {
	want := map[string]string{"a": "\u009b2J\x7f\x1b\u202e\U000e0001\u2028 \"<é鎖🔒>\\ \n"}
	var out strings.Builder
	require.NoError(t, writeJSON(&out, want))
	for _, r := range strings.TrimSuffix(out.String(), "\n") {
		require.True(t, r == '\n' || strconv.IsPrint(r), "%U", r)
	}
	require.Contains(t, out.String(), "é鎖🔒")
	var got map[string]string
	require.NoError(t, json.Unmarshal([]byte(out.String()), &got))
	require.Equal(t, want, got)
}

// TestHolderOf: a process may have a command line of megabytes, with anything in it.
func TestHolderOf(t *testing.T) {
	got := holderOf(filelock.Ticket{Path: "p", Host: "h", PID: 7, Command: "run \x1b[2J " + strings.Repeat("x", 1<<20), State: filelock.Inside})
	require.Less(t, len(got), 300)
	require.NotContains(t, got, "\x1b")
	require.Contains(t, got, `pid 7 on h ("run \x1b[2J xxx`)
	require.True(t, strings.HasSuffix(got, "holds it"), got)
}
