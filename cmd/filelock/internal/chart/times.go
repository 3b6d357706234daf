package chart

import (
	"io"
	"math"
	"time"
)

// Measure is how long something took: at the median, and at most in 99 of 100 cases.
type Measure struct {
	Name     string
	P50, P99 time.Duration
	Note     string
}

// Times is a chart of how long things take, on a logarithmic scale.
type Times struct {
	Title, Subtitle string
	Measures        []Measure
}

const (
	timesWidth  = 860
	barHeight   = 30
	timesNames  = 250
	timesNotes  = 170
	firstDecade = 100 * time.Nanosecond
)

// Draw draws the chart.
func (t Times) Draw(w io.Writer) error {
	height := float64(112 + len(t.Measures)*barHeight + border)
	c := newCanvas(w, timesWidth, height, t.Title)
	c.text(border, 34, `font-size="17" font-weight="600" fill="`+ink+`"`, t.Title)
	c.text(border, 54, `fill="`+faint+`"`, t.Subtitle)
	low, high := t.scale()
	left, right := float64(border+timesNames), float64(timesWidth-border-timesNotes)
	at := func(d time.Duration) float64 {
		if d < low {
			return left
		}
		return left + (right-left)*(math.Log10(float64(d))-math.Log10(float64(low)))/(math.Log10(float64(high))-math.Log10(float64(low)))
	}
	top, bottom := 72.0, 72+float64(len(t.Measures)*barHeight)
	for d := low; d <= high; d *= 10 {
		c.line(at(d), top, at(d), bottom, grid)
		c.text(at(d), bottom+16, `text-anchor="middle" font-size="11" fill="`+faint+`"`, short(d))
	}
	for i, m := range t.Measures {
		y := top + float64(i*barHeight)
		c.text(left-10, y+19, `text-anchor="end" fill="`+ink+`"`, m.Name)
		c.rect(left, y+6, max(1, at(m.P50)-left), 16, blue)
		c.rect(at(m.P50), y+12.5, max(1, at(m.P99)-at(m.P50)), 3, amber)
		c.rect(at(m.P99)-1, y+8, 2, 12, amber)
		c.text(right+12, y+19, `font-size="11" fill="`+ink+`"`, m.Note)
	}
	c.rect(left, bottom+30, 18, 10, blue)
	c.text(left+24, bottom+39, `font-size="11" fill="`+ink+`"`, "median")
	c.rect(left+90, bottom+33.5, 18, 3, amber)
	c.text(left+114, bottom+39, `font-size="11" fill="`+ink+`"`, "to the 99th of 100; logarithmic")
	return c.close()
}

// scale returns the decades between which everything lies.
func (t Times) scale() (low, high time.Duration) {
	low, high = time.Hour, firstDecade // a bar has some length even if it is the shortest
	for _, m := range t.Measures {
		low, high = min(low, max(2, m.P50)), max(high, m.P99)
	}
	low = time.Duration(math.Pow(10, math.Floor(math.Log10(float64(low)/2))))
	high = time.Duration(math.Pow(10, math.Ceil(math.Log10(float64(high)))))
	if high <= low {
		high = 10 * low
	}
	return low, high
}
