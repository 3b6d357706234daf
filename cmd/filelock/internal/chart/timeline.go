package chart

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// Use is one use of a lock: Entered and Left are 0 as far as it did not come.
type Use struct{ Asked, Entered, Left time.Duration }

// Row is one process.
type Row struct {
	Name string
	Uses []Use
}

// Timeline is who waited and who held a lock when.
type Timeline struct {
	Title, Verdict string
	Rows           []Row
	Overlaps       []time.Duration // when two were inside
	Length         time.Duration
}

const (
	timelineWidth = 1000
	rowHeight     = 20
	nameWidth     = 150
	// closeUp is how many holds the second panel shows.
	closeUp = 40
	visible = .5 // the least width
)

// Draw draws the timeline: all of it, and below that a part of it, in which single
// holds can be seen: around the first overlap, or from the beginning.
func (t Timeline) Draw(w io.Writer) error {
	panel := float64(len(t.Rows)*rowHeight + 46)
	height := 92 + 2*panel + border
	c := newCanvas(w, timelineWidth, height, t.Title)
	c.text(border, 34, `font-size="17" font-weight="600" fill="`+ink+`"`, t.Title)
	fill := faint
	if len(t.Overlaps) > 0 {
		fill = red
	}
	c.text(border, 54, `fill="`+fill+`"`, t.Verdict)
	t.legend(c)
	t.panel(c, 84, 0, t.Length, "the whole contest")
	from, to := t.part()
	t.panel(c, 84+panel, from, to, fmt.Sprintf("a part of it, from %s on", short(from)))
	return c.close()
}

func (t Timeline) legend(c *canvas) {
	x := float64(timelineWidth - border - 250)
	c.rect(x, 28, 18, 5, amber)
	c.text(x+24, 34, `fill="`+ink+`"`, "waits")
	c.rect(x+80, 23, 18, 12, blue)
	c.text(x+104, 34, `fill="`+ink+`"`, "holds")
	c.rect(x+162, 21, 2, 16, red)
	c.text(x+172, 34, `fill="`+ink+`"`, "two inside")
}

// part returns the time of the second panel.
func (t Timeline) part() (from, to time.Duration) {
	var entries []time.Duration
	for _, r := range t.Rows {
		for _, u := range r.Uses {
			if u.Entered > 0 {
				entries = append(entries, u.Entered)
			}
		}
	}
	slices.Sort(entries)
	if len(entries) == 0 {
		return 0, t.Length
	}
	i := 0
	if len(t.Overlaps) > 0 {
		i, _ = slices.BinarySearch(entries, t.Overlaps[0])
		i = max(0, i-closeUp/2)
	}
	last := min(i+closeUp, len(entries)-1)
	if from = entries[i]; i == 0 {
		from = 0
	}
	return from, max(entries[last], from+time.Microsecond)
}

// panel draws what happened from one time to another.
func (t Timeline) panel(c *canvas, y float64, from, to time.Duration, caption string) {
	left, right := float64(border+nameWidth), float64(timelineWidth-border)
	at := func(d time.Duration) float64 {
		d = min(max(d, from), to)
		return left + (right-left)*float64(d-from)/float64(max(1, to-from))
	}
	c.text(border, y+12, `fill="`+faint+`"`, caption)
	top, bottom := y+20, y+20+float64(len(t.Rows)*rowHeight)
	unit := step(to-from, 8)
	for tick := (from + unit - 1) / unit * unit; tick <= to; tick += unit {
		c.line(at(tick), top, at(tick), bottom, grid)
		c.text(at(tick), bottom+14, `text-anchor="middle" font-size="11" fill="`+faint+`"`, short(tick))
	}
	for i, r := range t.Rows {
		y := top + float64(i*rowHeight)
		c.text(left-8, y+14, `text-anchor="end" fill="`+ink+`"`, clip(r.Name, 22))
		waits, holds := r.intervals(from, to, t.Length, at)
		c.bars(waits, y+7.5, 5, amber)
		c.bars(holds, y+4, 12, blue)
	}
	for _, o := range t.Overlaps {
		if o >= from && o <= to {
			c.rect(at(o)-1, top-4, 2, bottom-top+4, red)
		}
	}
}

// intervals returns where a row's waits and holds are in the picture.
func (r Row) intervals(from, to, length time.Duration, at func(time.Duration) float64) (waits, holds []interval) {
	for _, u := range r.Uses {
		entered, left := cmp.Or(u.Entered, length), cmp.Or(u.Left, length)
		if u.Asked < to && entered > from {
			waits = append(waits, interval{at(u.Asked), at(entered)})
		}
		if u.Entered > 0 && u.Entered < to && left > from {
			holds = append(holds, interval{at(u.Entered), at(left)})
		}
	}
	return merge(waits, visible), merge(holds, visible)
}

// clip shortens a text to n characters.
func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
