package filelock_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// readText returns a file's content with the line ends of Unix, whatever the
// checkout has.
func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestDocsCode: the Go code of the pages is code of the tests, which runs or at
// least compiles, to the letter but for the depth at which it stands.
func TestDocsCode(t *testing.T) {
	tests := []struct {
		page    string
		sources string // a pattern
		blocks  int    // at least
	}{
		{"README.md", "example_test.go", 1},
		{"docs/recipes.md", "*_test.go", 5},
		{"docs/migrating.md", "*_test.go", 1},
		{"docs/deadlocks.md", "*_test.go", 1},
		{"docs/shared.md", "*_test.go", 1},
		{"docs/fencing.md", "*_test.go", 2},
		{"docs/engines.md", "etcdlock/tests/*_test.go", 2},
	}
	for _, test := range tests {
		t.Run(test.page, func(t *testing.T) {
			files, err := filepath.Glob(test.sources)
			require.NoError(t, err)
			var sources strings.Builder
			for _, file := range files {
				sources.WriteString("\n" + readText(t, file))
			}
			blocks := goBlock.FindAllStringSubmatch(readText(t, test.page), -1)
			require.GreaterOrEqual(t, len(blocks), test.blocks)
			for _, block := range blocks {
				require.True(t, containsCode(sources.String(), block[1]), "not in %s:\n%s", test.sources, block[1])
			}
		})
	}
}

// containsCode reports whether the code stands in source, as deep inside other
// code as it may.
func containsCode(source, code string) bool {
	lines := strings.SplitAfter(strings.TrimRight(code, "\n")+"\n", "\n")
	for depth := range 4 {
		var indented strings.Builder
		indented.WriteByte('\n')
		for _, line := range lines {
			if strings.TrimSpace(line) != "" {
				indented.WriteString(strings.Repeat("\t", depth))
			}
			indented.WriteString(line)
		}
		if strings.Contains(source, indented.String()) {
			return true
		}
	}
	return false
}

// functions returns the declarations of the package's functions and methods.
func functions(t *testing.T) (all []*ast.FuncDecl) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				all = append(all, f)
			}
		}
	}
	return all
}

// TestReadmeOptions: README's table has every option that there is, and no other.
func TestReadmeOptions(t *testing.T) {
	var there []string
	for _, f := range functions(t) {
		if f.Recv == nil && strings.HasPrefix(f.Name.Name, "With") {
			there = append(there, f.Name.Name)
		}
	}
	var shown []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(With[[:alpha:]]+)\\(").FindAllStringSubmatch(readText(t, "README.md"), -1) {
		shown = append(shown, row[1])
	}
	slices.Sort(there)
	slices.Sort(shown)
	require.NotEmpty(t, there)
	require.Equal(t, there, shown)
}

// TestReadmeCalls: README names every function of the package, and every method of a lock
// and of an owner.
func TestReadmeCalls(t *testing.T) {
	readme, named := readText(t, "README.md"), map[string]bool{}
	for _, f := range functions(t) {
		name := f.Name.Name
		if !f.Name.IsExported() || strings.HasPrefix(name, "With") || !isCall(f) {
			continue
		}
		code := regexp.MustCompile("`[^`\n]*\\b" + name + "\\b[^`\n]*`")
		require.True(t, code.MatchString(readme), "README does not name %s", name)
		named[name] = true
	}
	for _, name := range []string{"New", "Reap", "Acquire", "Token"} {
		require.True(t, named[name], name)
	}
}

// isCall reports whether f is a function, or a method of what the caller makes.
func isCall(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	name, ok := pointer.X.(*ast.Ident)
	return ok && (name.Name == "FileLock" || name.Name == "Owner")
}

// TestContributingFolders: CONTRIBUTING.md names every package of internal.
func TestContributingFolders(t *testing.T) {
	page, named := readText(t, "CONTRIBUTING.md"), 0
	require.NoError(t, filepath.WalkDir("internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		sources, err := filepath.Glob(filepath.Join(path, "*.go"))
		if len(sources) > 0 {
			named++
			require.True(t, strings.Contains(page, "\n| `"+filepath.ToSlash(path)+"` |"), "it does not name %s", path)
		}
		return err
	}))
	require.Greater(t, named, 10)
}

// TestDocsMigrating: what docs/migrating.md says of this package.
func TestDocsMigrating(t *testing.T) {
	background := context.Background()
	held := func(t *testing.T, opts ...filelock.Option) *filelock.FileLock {
		l := newLock(t, target(t), opts...)
		acquire(t, l)
		return l
	}
	tests := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"relock: whoever is not named waits for itself", func(t *testing.T) {
			l := held(t)
			ctx, cancel := context.WithTimeout(background, mustBlock)
			defer cancel()
			require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
			require.NoError(t, l.Unlock())
		}},
		{"relock: a named owner gets an error", func(t *testing.T) {
			l := newLock(t, target(t))
			ctx, cancel := context.WithTimeout(background, stuck)
			defer cancel()
			var again error
			require.NoError(t, l.Do(ctx, func(ctx context.Context) error {
				again = l.Acquire(ctx)
				return nil
			}))
			require.ErrorIs(t, again, filelock.ErrDeadlock)
		}},
		{"relock: WithReentrant counts", func(t *testing.T) {
			l := newLock(t, target(t), filelock.WithReentrant())
			ctx := filelock.ContextWithOwner(background)
			require.NoError(t, l.Acquire(ctx))
			require.NoError(t, l.Acquire(ctx))
			require.NoError(t, l.Unlock())
			require.True(t, l.Held())
			require.NoError(t, l.Unlock())
			require.False(t, l.Held())
		}},
		{"a second try is refused", func(t *testing.T) {
			l := held(t)
			require.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
			require.NoError(t, l.Unlock())
		}},
		{"unlock twice", func(t *testing.T) {
			l := held(t)
			require.NoError(t, l.Unlock())
			require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
		}},
		{"release twice", func(t *testing.T) {
			l := newLock(t, target(t))
			release, err := l.Hold(background)
			require.NoError(t, err)
			require.NoError(t, release())
			acquire(t, l)
			require.NoError(t, release())
			require.True(t, l.Held(), "the second call gave back another's hold")
			require.NoError(t, l.Unlock())
		}},
		{"a directory is no target", func(t *testing.T) {
			dir := t.TempDir()
			for _, path := range []string{dir, dir + string(filepath.Separator), filepath.Join(dir, "missing") + string(filepath.Separator)} {
				_, err := filelock.New(path)
				require.ErrorIs(t, err, filelock.ErrInvalid, path)
			}
			newLock(t, filepath.Join(dir, ".lock"))
		}},
		{"no file is left, and the target is not made", func(t *testing.T) {
			l := held(t)
			require.NoError(t, l.Unlock())
			entries, err := os.ReadDir(filepath.Dir(l.Path()))
			require.NoError(t, err)
			require.Empty(t, entries)
		}},
		{"os.IsNotExist does not look inside", func(t *testing.T) {
			_, err := filelock.New(filepath.Join(t.TempDir(), "missing", "db"))
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.False(t, os.IsNotExist(err))
			var wrapped *filelock.Error
			require.ErrorAs(t, err, &wrapped)
		}},
		{"a timeout", func(t *testing.T) {
			holder := held(t)
			l := newLock(t, holder.Path(), filelock.WithTimeout(mustBlock))
			err := l.Acquire(background)
			require.ErrorIs(t, err, filelock.ErrTimeout)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			var busy *filelock.BusyError
			require.ErrorAs(t, err, &busy)
			require.Equal(t, os.Getpid(), busy.Holder.PID)
			require.NoError(t, holder.Unlock())
		}},
		{"a cancellation and its cause", func(t *testing.T) {
			holder := held(t)
			shutdown := errors.New("shutdown")
			ctx, cancel := context.WithCancelCause(background)
			waiter := newLock(t, holder.Path())
			waits := start(func() error { return waiter.Acquire(ctx) })
			requireBlocks(t, waits)
			cancel(shutdown)
			err := result(t, waits)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, shutdown)
			require.NoError(t, holder.Unlock())
		}},
		{"no time to wait", func(t *testing.T) {
			ctx, cancel := context.WithDeadline(background, time.Now())
			defer cancel()
			l := newLock(t, target(t))
			require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
			require.False(t, l.Held(), "a context that is done loses even if the lock is free")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

// TestReadmeExample: what the README's example says when it gives up names who is
// in the way, and no process that is none.
func TestReadmeExample(t *testing.T) {
	tests := []struct {
		name   string
		holder bool
		wait   time.Duration
		err    error
		says   string
	}{
		{"free", false, stuck, nil, `^$`},
		{"held", true, mustBlock, context.DeadlineExceeded, `^in the way of \S+: this process, queued since .*\n$`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db := target(t)
			if test.holder {
				l := newLock(t, db)
				acquire(t, l)
				defer func() { require.NoError(t, l.Unlock()) }()
			}
			var said strings.Builder
			log.SetOutput(&said)
			log.SetFlags(0)
			defer log.SetOutput(os.Stderr)
			defer log.SetFlags(log.LstdFlags)
			ctx, cancel := context.WithTimeout(context.Background(), test.wait)
			defer cancel()
			require.ErrorIs(t, update(ctx, db), test.err)
			require.Regexp(t, test.says, said.String())
		})
	}
}

var (
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInURL = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocsLinks: the pages' links to each other lead somewhere.
func TestDocsLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, more...) {
		t.Run(page, func(t *testing.T) {
			for _, link := range pageLink.FindAllStringSubmatch(readText(t, page), -1) {
				if strings.Contains(link[1], "://") {
					continue
				}
				path, anchor, _ := strings.Cut(link[1], "#")
				to := page
				if path != "" {
					to = filepath.Join(filepath.Dir(page), filepath.FromSlash(path))
				}
				require.FileExists(t, to, link[1])
				if anchor != "" {
					require.Contains(t, anchors(readText(t, to)), anchor, link[1])
				}
			}
		})
	}
}

// anchors returns a page's headings as GitHub makes links of them.
func anchors(page string) (names []string) {
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		name := notInURL.ReplaceAllString(strings.ToLower(h[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
