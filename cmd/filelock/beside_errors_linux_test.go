package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

var errorScenes = []scene{
	{"no such command", "exit 69", "exit 69", ending("no-such-command")},
	{"a command that may not be executed", "exit 69", "exit 69", func(s *stage) string {
		require.NoError(s, os.WriteFile(filepath.Join(s.dir, "data"), []byte("x"), 0o644))
		return ending("./data")(s)
	}},
	{"a script without #!", "runs", "runs", func(s *stage) string {
		s.write("script", "echo runs\n")
		_, out := s.run(s.with("") + "./script")
		return out
	}},
	{"no PATH", "finds it", "finds it", func(s *stage) string {
		got, out := s.run(`sh -c 'lock=$(command -v ` + s.name + `); unset PATH; exec "$lock" ` +
			strings.TrimPrefix(s.with(""), s.name) + `true'`)
		require.Equal(s, "exit 0", got, out)
		return "finds it"
	}},
	{"-c with SHELL=/bin/bash", "bash", "bash", func(s *stage) string {
		s.needs("/bin/bash")
		_, out := s.run(`env SHELL=/bin/bash ` + s.with("") + `-c '[[ a == a ]] && echo bash'`)
		return out
	}},
	{"no such directory", "exit 66", "exit 66", func(s *stage) string {
		s.lockOf("no/such/" + s.tool.file)
		return ending("true")(s)
	}},
	{"a directory that may not be written", "exit 71", "exit 66", func(s *stage) string {
		s.needs("setpriv")
		if os.Geteuid() != 0 {
			require.NoError(s, os.Chmod(s.dir, 0o555))
			return ending("true")(s)
		}
		require.NoError(s, os.Chmod(s.dir, 0o755))
		for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			require.NoError(s, os.Chmod(dir, 0o755))
		}
		got, _ := s.run("setpriv --reuid=65534 --regid=65534 --clear-groups " + s.with("") + "true")
		if got == "exit 127" || got == "exit 126" {
			s.Skip("the programs of this test are not everybody's")
		}
		return got
	}},
	{"a read-only filesystem", "exit 71", "exit 73", onTmpfs("mount -o remount,ro DIR")},
	{"a full filesystem", "exit 71", "exit 73", onTmpfs("! cat /dev/zero >DIR/fill 2>/dev/null; ! touch DIR/1 DIR/2 DIR/3 DIR/4 DIR/5 DIR/6 DIR/7 DIR/8 DIR/9 2>/dev/null")},
}

func ending(command string) func(s *stage) string {
	return func(s *stage) string {
		got, _ := s.run(s.with("") + command)
		return got
	}
}

// lockOf has the tool lock another file.
func (s *stage) lockOf(name string) { s.tool.file = name }

// onTmpfs locks a file of a small filesystem, of which something was made first.
func onTmpfs(made string) func(s *stage) string {
	return func(s *stage) string {
		require.NoError(s, os.Mkdir(filepath.Join(s.dir, "small"), 0o777))
		s.lockOf("small/" + s.tool.file)
		line := "mount -t tmpfs -o size=16k,nr_inodes=6 small small; " + strings.ReplaceAll(made, "DIR", "small") + "; " + s.with("") + "true"
		got, _ := s.run(s.inContainer(`sh -c '` + line + `'`))
		return got
	}
}
