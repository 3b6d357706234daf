package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Markdown writes the summary and the tables.
func (r *Run) Markdown(w io.Writer, plots []string) error {
	b := &strings.Builder{}
	b.WriteString("# Measurements\n\n")
	if r.Quick {
		b.WriteString("**A quick run: too short to quote.**\n\n")
	}
	r.summary(b)
	m := r.Machine
	fmt.Fprintf(b, "## How to read this\n\n%s, %s, %d cores, %s, %s. Took %s.\n\n", m.Kernel, m.CPU, m.Cores, m.Go, m.Day, r.Took)
	b.WriteString(filesystemsText(r.Filesystems))
	b.WriteString(legend)
	r.contestantsTable(b)
	for _, p := range plots {
		fmt.Fprintf(b, "![%s](%s)\n\n", strings.TrimSuffix(p, ".svg"), p)
	}
	for _, s := range r.Sections {
		r.section(b, s)
	}
	r.goalsTable(b)
	_, err := io.WriteString(w, b.String())
	return err
}

const legend = `Medians of alternating rounds. In brackets: our figure divided by that one,
round by round, and of those the median. **Bold** is the best lock of the row, of
those known to be safe; ▼ marks where that is not ours, with how far ours is
behind. The strongest rival is the best lock of the row that is none of ours.
Floors are bare system calls. Unsafe locks let two in. Neither compete.

`

func (r *Run) goalsTable(b *strings.Builder) {
	if len(r.Goals) == 0 {
		return
	}
	b.WriteString("## The project's own targets\n\n" + goalsNote + "\n| | target | measured | met |\n|---|---|---|---|\n")
	for _, g := range r.Goals {
		fmt.Fprintf(b, "| %d | %s | %s | %s |\n", g.Item, g.Target, g.Measured, g.Met)
	}
}

const goalsNote = `What the project set itself, some of it before anything was measured. They say
nothing about what a program needs.
`

func (r *Run) contestantsTable(b *strings.Builder) {
	b.WriteString("## Contestants\n\n| column | what |\n|---|---|\n")
	for _, c := range r.Contestants {
		what := c.Name
		if c.Unsafe {
			what += " (unsafe)"
		}
		fmt.Fprintf(b, "| %s | %s |\n", c.Short, what)
	}
	b.WriteByte('\n')
}

// row is the figures of one metric under one condition.
type row struct {
	kase   string
	metric Metric
	values []*Value
}

func (r *Run) section(b *strings.Builder, s Section) {
	rows, all := r.rows(s.Scenario)
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "## %s\n\n", s.Title)
	if s.Note != "" {
		fmt.Fprintf(b, "%s\n\n", s.Note)
	}
	chosen := []Contestant{r.contestant(Ours), strongestRival}
	for _, key := range s.Beside {
		i := slices.IndexFunc(all, func(c Contestant) bool { return c.Key == key })
		if i >= 0 {
			chosen = append(chosen, all[i])
		}
	}
	ours := slices.DeleteFunc(slices.Clone(rows), func(row row) bool { return row.of(Ours) == nil })
	r.table(b, ours, chosen)
	b.WriteString("<details><summary>All contestants</summary>\n\n")
	r.table(b, rows, all)
	b.WriteString("</details>\n\n")
}

// strongestRival is a column in which every row has another contestant.
var strongestRival = Contestant{Short: "strongest rival"}

func (r *Run) table(b *strings.Builder, rows []row, columns []Contestant) {
	b.WriteString("| | |")
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.Short)
	}
	fmt.Fprintf(b, "\n|%s\n", strings.Repeat("---|", len(columns)+2))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s | %s |", row.kase, row.metric.Name)
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", r.cell(row, c))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// rows returns a scenario's rows, and the contestants that have figures there.
func (r *Run) rows(scenario string) (rows []row, columns []Contestant) {
	seen := map[string]bool{}
	for _, v := range r.Values {
		if v.Scenario != scenario {
			continue
		}
		seen[v.Contestant] = true
		i := slices.IndexFunc(rows, func(o row) bool { return o.kase == v.Case && o.metric == v.Metric })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{kase: v.Case, metric: v.Metric})
		}
		rows[i].values = append(rows[i].values, v)
	}
	for _, c := range r.Contestants {
		if seen[c.Key] {
			columns = append(columns, c)
		}
	}
	return rows, columns
}

func (r *Run) cell(row row, c Contestant) string {
	theirs := r.strongest(row, Contestant.rival)
	if c == strongestRival {
		if theirs == nil {
			return ""
		}
		c = r.contestant(theirs.Contestant)
		return c.Short + ": " + r.cell(row, c)
	}
	v := row.of(c.Key)
	if v == nil {
		return ""
	}
	text := Format(v.Median, v.Metric.Unit)
	best := r.strongest(row, Contestant.competes)
	switch {
	case theirs == nil:
		// Nobody is there to be compared with.
	case tied(v.Median, best.Median) && c.competes():
		text = "**" + text + "**"
	case !tied(v.Median, best.Median) && c.Key == Ours:
		text += " ▼" + behind(v.Median, best.Median, row.metric.Better)
	}
	if v.AgainstOurs > 0 && row.metric.Better != Neither {
		text += " (" + times(v.AgainstOurs) + ")"
	}
	return text
}

// tied reports whether two figures differ by less than can be told.
func tied(a, b float64) bool { return math.Abs(a-b) <= 0.005*math.Abs(b) }

func behind(ours, best float64, better Better) string {
	x := ours / best
	if better == More {
		x = best / ours
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return ""
	}
	return " " + times(x)
}

func (row row) of(contestant string) *Value {
	i := slices.IndexFunc(row.values, func(v *Value) bool { return v.Contestant == contestant })
	if i < 0 {
		return nil
	}
	return row.values[i]
}

// strongest returns the best figure of a row, of those that are asked for; nil if
// there is none.
func (r *Run) strongest(row row, of func(Contestant) bool) (best *Value) {
	if row.metric.Better == Neither {
		return nil
	}
	for _, c := range r.Contestants {
		v := row.of(c.Key)
		if v == nil || !of(c) {
			continue
		}
		if best == nil || v.Median != best.Median && (v.Median < best.Median) == (row.metric.Better == Less) {
			best = v
		}
	}
	return best
}

// rowOf returns the row of a metric under a condition, empty if there is none.
func rowOf(rows []row, kase, metric string) row {
	i := slices.IndexFunc(rows, func(o row) bool { return o.kase == kase && o.metric.Name == metric })
	if i < 0 {
		return row{}
	}
	return rows[i]
}
