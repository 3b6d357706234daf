package report

import (
	"fmt"
	"strings"
)

// Comparison is a figure of ours that the summary compares with that of the
// strongest rival.
type Comparison struct {
	Text, Case, Metric string
	// Key is whose figure is compared if not that of Ours: that of a variant of
	// ours.
	Key string
}

// summary says in words how ours compares with the strongest rivals. It is made
// from the figures, so that it tells of a loss as it does of a win.
func (r *Run) summary(b *strings.Builder) {
	var lines []string
	counts := map[string]int{}
	for _, s := range r.Sections {
		for _, c := range s.Compared {
			if line, verdict := r.sentence(s.Scenario, c); line != "" {
				lines = append(lines, "- "+line+"\n")
				counts[verdict]++
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "Each time beside the strongest of the rivals that are safe, filelock wins %d, loses %d and is even in %d of these %d comparisons:\n\n",
		counts[wins], counts[loses], counts[even], len(lines))
	b.WriteString(strings.Join(lines, "") + "\n")
}

const (
	wins  = "filelock wins"
	loses = "filelock loses"
	even  = "no difference"
)

// sentence returns one comparison in words, and who wins it; nothing if one side
// was not measured.
func (r *Run) sentence(scenario string, c Comparison) (sentence, verdict string) {
	key := c.Key
	if key == "" {
		key = Ours
	}
	ours := r.Find(scenario, c.Case, c.Metric, key)
	rows, _ := r.rows(scenario)
	theirs := r.strongest(rowOf(rows, c.Case, c.Metric), Contestant.rival)
	if ours == nil || theirs == nil {
		return "", ""
	}
	better, unit := ours.Metric.Better, ours.Metric.Unit
	by := ""
	switch x, y := ours.Median, theirs.Median; {
	case tied(x, y):
		verdict = even
	case (x < y) == (better == Less):
		verdict, by = wins, behind(y, x, better)
	default:
		verdict, by = loses, behind(x, y, better)
	}
	if by != "" {
		by = " by" + by
	}
	return fmt.Sprintf("%s (%s): filelock %s, %s %s; **%s%s**.", c.Text, r.kind(Filesystems[0]),
		Format(ours.Median, unit), r.contestant(theirs.Contestant).Name, Format(theirs.Median, unit), verdict, by), verdict
}

// kind returns what kind a filesystem is that was worked in.
func (r *Run) kind(name string) string {
	for _, f := range r.Filesystems {
		if f.Name == name {
			return f.Kind
		}
	}
	return name
}
