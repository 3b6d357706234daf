package filelock_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// marks are those of the README's table.
var marks = []string{"✓", "◐", "–", "**▲**", "?", ""}

var (
	markOfOurs = regexp.MustCompile(`^\[(✓|◐|–)\]\((\S+) "(Test\w+)"\)$`)
	shownBy    = regexp.MustCompile("\\[`(Test\\w+)`\\]\\(([^)]+)\\)")
)

// rowsOf returns the cells of the first table below a heading, without its head.
func rowsOf(t *testing.T, page, heading string) (rows [][]string) {
	t.Helper()
	_, below, found := strings.Cut(readText(t, page), "\n"+heading+"\n")
	require.True(t, found, "%s has no %q", page, heading)
	for line := range strings.Lines(below) {
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		case len(rows) > 0:
			return rows[2:]
		}
	}
	return rows[2:]
}

// requireTestIn requires that a Go file has a test of that name.
func requireTestIn(t *testing.T, file, test string) {
	t.Helper()
	there := strings.Contains(readText(t, filepath.FromSlash(file)), "\nfunc "+test+"(t *testing.T)")
	require.True(t, there, "%s is not in %s", test, file)
}

// TestDocsComparison: each claim of this lock in the comparison with others names a test
// that is there, in the README's table and on the page; these have the same rows; and the
// page says first who is ahead, wherever somebody is.
func TestDocsComparison(t *testing.T) {
	// What no test of this system shows.
	elsewhere := map[string]string{
		"Windows":                            "[◐](.github/workflows/test.yml)",
		"In use for years, or there already": "–",
	}
	page := map[string][]string{}
	var names, marked []string
	for _, row := range rowsOf(t, "docs/comparison.md", "## Row by row") {
		require.Len(t, row, 4, row[0])
		name := strings.Trim(row[0], "*")
		names, page[name] = append(names, name), row
	}
	rows := rowsOf(t, "README.md", "## Beside other locks")
	for _, row := range rows {
		marked = append(marked, row[0])
	}
	require.Equal(t, names, marked)
	require.Greater(t, len(names), 20)
	for _, row := range rows {
		name, ours := row[0], row[1]
		require.Len(t, row, 12, name)
		for i, cell := range row[2:] {
			require.Contains(t, marks, cell, "%s, column %d", name, i+3)
		}
		ahead := strings.HasPrefix(page[name][3], "**Ahead:**")
		require.Equal(t, slices.Contains(row, "**▲**"), ahead, "%s: who is ahead", name)
		if want, ok := elsewhere[name]; ok {
			require.Equal(t, want, ours, name)
			continue
		}
		mark := markOfOurs.FindStringSubmatch(ours)
		require.NotNil(t, mark, "%s: %q names no test", name, ours)
		requireTestIn(t, mark[2], mark[3])
		require.Contains(t, page[name][2], "`"+mark[3]+"`", name)
	}
	for _, test := range shownBy.FindAllStringSubmatch(readText(t, "docs/comparison.md"), -1) {
		requireTestIn(t, filepath.Join("docs", test[2]), test[1])
	}
}
