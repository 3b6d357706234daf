package report

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		x    float64
		u    Unit
		want string
	}{
		{682, Nanoseconds, "682 ns"},
		{999.9, Nanoseconds, "1.00 µs"},
		{30_040, Nanoseconds, "30.0 µs"},
		{2.5e9, Nanoseconds, "2.50 s"},
		{0, Nanoseconds, "0 ns"},
		{1.12e6, PerSecond, "1.12 M/s"},
		{667, PerSecond, "667 /s"},
		{0.931, Part, "93.1 %"},
		{1, Index, "1.000"},
		{0.00123, Count, "0.0012"},
		{157, Count, "157"},
		{5560, Bytes, "5.43 KiB"},
		{math.NaN(), Count, "–"},
	} {
		if got := Format(c.x, c.u); got != c.want {
			t.Errorf("Format(%v, %s) = %q, want %q", c.x, c.u, got, c.want)
		}
	}
}

func TestGoal(t *testing.T) {
	for _, c := range []struct {
		limits []limit
		want   string
	}{
		{[]limit{atMost(1.3, 1.3)}, "yes"},
		{[]limit{atMost(1.31, 1.3)}, "**no**"},
		{[]limit{atLeast(10, 10)}, "yes"},
		{[]limit{atLeast(9.9, 10)}, "**no**"},
		{[]limit{atMost(0, 0), atMost(1, 0)}, "**no**"},
		{[]limit{atMost(math.NaN(), 1)}, "not measured"},
	} {
		if got := goal(1, "", "", c.limits...).Met; got != c.want {
			t.Errorf("%+v: %s, want %s", c.limits, got, c.want)
		}
	}
}

func TestTableMarksWinsAndLosses(t *testing.T) {
	r := New(false)
	less := Metric{"time", Nanoseconds, Less}
	more := Metric{"rate", PerSecond, More}
	r.Name(
		Contestant{Key: Ours, Short: "ours"}, Contestant{Key: "other", Short: "other"},
		Contestant{Key: "floor", Short: "floor", Floor: true}, Contestant{Key: "bad", Short: "bad", Unsafe: true},
	)
	for _, round := range []float64{1, 3} {
		r.Add("s", "lose", less, Ours, 200*round)
		r.Add("s", "lose", less, "other", 100*round)
		r.Add("s", "lose", less, "floor", 10*round)
		r.Add("s", "win", more, Ours, 800*round)
		r.Add("s", "win", more, "other", 100*round)
		r.Add("s", "win", more, "bad", 1600*round)
	}
	r.Describe(Section{Scenario: "s", Title: "S", Beside: [2]string{"floor"}})
	r.Finish()
	var b strings.Builder
	if err := r.Markdown(&b, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| lose | time | 400 ns ▼ 2 × | other: **200 ns** (2 ×) | 20 ns (20 ×) |",
		"| win | rate | **1.60 k/s** | other: 200 /s (8 ×) |  |",
		"| lose | time | 400 ns ▼ 2 × | **200 ns** (2 ×) | 20 ns (20 ×) |  |",
		"| win | rate | **1.60 k/s** | 200 /s (8 ×) |  | 3.20 k/s (0.50 ×) |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
}

func TestSentencesTellOfLosses(t *testing.T) {
	less := Metric{"time", Nanoseconds, Less}
	more := Metric{"rate", PerSecond, More}
	for _, c := range []struct {
		metric       Metric
		ours, theirs float64
		want         string
	}{
		{less, 400, 200, "filelock 400 ns, Other 200 ns; **filelock loses by 2 ×**."},
		{less, 200, 400, "filelock 200 ns, Other 400 ns; **filelock wins by 2 ×**."},
		{more, 200, 800, "filelock 200 /s, Other 800 /s; **filelock loses by 4 ×**."},
		{more, 800, 200, "filelock 800 /s, Other 200 /s; **filelock wins by 4 ×**."},
		{less, 200, 200, "filelock 200 ns, Other 200 ns; **no difference**."},
		{less, 5, 0, "filelock 5 ns, Other 0 ns; **filelock loses**."},
		{less, 0, 5, "filelock 0 ns, Other 5 ns; **filelock wins**."},
	} {
		r := New(false)
		r.Filesystems = []Filesystem{{"disk", "ext4", "yes"}}
		for key, name := range map[string]string{
			Ours: "filelock", "filelock-variant": "Variant", "weaker": "Weaker", "other": "Other", "floor": "Floor", "bad": "Bad",
		} {
			r.Name(Contestant{Key: key, Name: name, Floor: key == "floor", Unsafe: key == "bad"})
		}
		best, worst := -1., 1e6
		if c.metric.Better == More {
			best, worst = worst, best
		}
		for key, x := range map[string]float64{
			Ours: c.ours, "other": c.theirs, "weaker": worst, "floor": best, "bad": best, "filelock-variant": best,
		} {
			r.Add("s", "case", c.metric, key, x)
		}
		r.Describe(Section{Scenario: "s", Title: "S", Compared: []Comparison{
			{Text: "What", Case: "case", Metric: c.metric.Name}, {Text: "Else", Case: "unmeasured", Metric: c.metric.Name},
		}})
		r.Finish()
		var b strings.Builder
		if err := r.Markdown(&b, nil); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(b.String(), "\n## ")
		if !strings.Contains(head, "- What (ext4): "+c.want+"\n") || strings.Contains(head, "Else") {
			t.Errorf("no %q, or something unmeasured, in\n%s", c.want, head)
		}
		one := map[bool]string{true: "1", false: "0"}
		counts := "wins " + one[strings.Contains(c.want, "wins")] + ", loses " + one[strings.Contains(c.want, "loses")]
		if !strings.Contains(head, counts) {
			t.Errorf("no %q in\n%s", counts, head)
		}
	}
}

func TestTablesHaveSixColumns(t *testing.T) {
	r := New(false)
	for _, key := range []string{Ours, "a", "b", "c", "d", "e", "f"} {
		r.Name(Contestant{Key: key, Short: key})
		r.Add("s", "case", Metric{"time", Nanoseconds, Less}, key, 1)
	}
	r.Describe(Section{Scenario: "s", Title: "S", Beside: [2]string{"e", "f"}})
	r.Finish()
	var b strings.Builder
	if err := r.Markdown(&b, nil); err != nil {
		t.Fatal(err)
	}
	const columns = 6
	widest, folded := 0, false
	for line := range strings.Lines(b.String()) {
		folded = strings.HasPrefix(line, "<details>") || folded && !strings.HasPrefix(line, "</details>")
		if !folded && strings.HasPrefix(line, "|") {
			widest = max(widest, strings.Count(line, "|")-1)
		}
	}
	if widest != columns {
		t.Errorf("the widest table has %d columns, want %d, in\n%s", widest, columns, b.String())
	}
	if s, goals := strings.Index(b.String(), "## S"), strings.Index(b.String(), "## The project's own targets"); goals < s {
		t.Errorf("the targets are at %d, before the tables at %d", goals, s)
	}
}

func TestPicture(t *testing.T) {
	r := New(false)
	r.Filesystems = []Filesystem{{"disk", "ext4", "yes"}}
	for _, key := range []string{Ours, "drawn", "not-drawn"} {
		r.Name(Contestant{Key: key, Name: "name of " + key})
		r.Plot(Curve{Plot: "p", Contestant: key, X: []float64{1, 100, 1000}, Y: []float64{50, 90, 100}})
	}
	dir := t.TempDir()
	pictures := []Picture{{
		File: "p", Title: "Title", Better: "higher is better", X: "µs", Y: "%", LogX: true,
		Lines: []string{Ours, "drawn"}, Mark: 100, MarkName: "the best possible",
	}}
	if names, err := r.Plots(dir, pictures); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "p.svg"))
	if err != nil {
		t.Fatal(err)
	}
	svg := string(text)
	for _, want := range []string{
		"Title, on ext4: higher is better", "name of filelock", "name of drawn", "the best possible", "1,000", ",sans-serif;",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	if strings.Contains(svg, "name of not-drawn") {
		t.Error("a line is drawn that the picture does not name")
	}
	// The first path is the background.
	size := regexp.MustCompile(`width="([\d.]+)pt" height="([\d.]+)pt"`).FindStringSubmatch(svg)
	path, style, _ := strings.Cut(svg[strings.Index(svg, "<path"):], "\"")
	path, style, _ = strings.Cut(style, "\"")
	if size == nil || !strings.Contains(path, size[1]+","+size[2]) || !strings.HasPrefix(style, ` style="fill:#FFFFFF"`) {
		t.Errorf("the background %s,%s does not cover %v", path, style[:30], size)
	}
}

func TestFilesystems(t *testing.T) {
	const creation = "the creation of a file takes longer"
	for _, c := range []struct {
		fs        Filesystem
		want      string
		creations bool
	}{
		{Filesystem{"disk", "ext4", "no"}, "disk is ext4 without a journal", true},
		{Filesystem{"disk", "ext4", "yes"}, "disk is ext4 with a journal", false},
		{Filesystem{"disk", "ext4", ""}, "disk is ext4.", false},
		{Filesystem{"tmpfs", "tmpfs", ""}, "tmpfs is tmpfs.", false},
	} {
		r := New(false)
		r.Filesystems = []Filesystem{c.fs}
		var b strings.Builder
		if err := r.Markdown(&b, nil); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(b.String(), "\n", " ")
		if !strings.Contains(text, c.want) || strings.Contains(text, creation) != c.creations {
			t.Errorf("%+v: no %q, or not just there that %s, in\n%s", c.fs, c.want, creation, b.String())
		}
	}
	if f := FilesystemAt("proc", "/proc"); f.Kind != "of type 0x9fa0" || f.Journal != "" {
		t.Errorf("/proc: %+v", f)
	}
	if f := FilesystemAt("missing", t.TempDir()+"/missing"); f.Kind != "unknown" {
		t.Errorf("a missing directory: %+v", f)
	}
}

func TestRatioIsOfRounds(t *testing.T) {
	r := New(false)
	m := Metric{"time", Nanoseconds, Less}
	for _, x := range [][2]float64{{10, 10}, {40, 20}, {900, 300}} {
		r.Add("s", "c", m, Ours, x[0])
		r.Add("s", "c", m, "floor", x[1])
	}
	if got := r.Ratio("s", "c", "time", Ours, "floor"); got != 2 {
		t.Errorf("ratio %v, want 2", got)
	}
	if got := r.Ratio("s", "c", "time", Ours, "nobody"); !math.IsNaN(got) {
		t.Errorf("ratio with nobody %v", got)
	}
}
