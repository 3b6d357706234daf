// Package chart draws what tests of locks have measured, as SVG. A chart has a
// background of its own, and so can be read on light and on dark pages.
package chart

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Colours that differ in lightness too, for those who do not tell them apart by hue.
const (
	paper  = "#ffffff"
	frame  = "#d0d7de"
	ink    = "#1f2328"
	faint  = "#57606a"
	grid   = "#e7ebef"
	amber  = "#e0a030" // waits
	blue   = "#1f5fa8" // holds
	red    = "#c62828" // overlaps
	font   = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
	border = 24
)

// canvas writes an SVG.
type canvas struct {
	w   *bufio.Writer
	err error
}

func newCanvas(w io.Writer, width, height float64, title string) *canvas {
	c := &canvas{w: bufio.NewWriter(w)}
	c.print(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="%s" font-size="12" role="img">`+"\n",
		width, height, width, height, font)
	c.print("<title>%s</title>\n", escape(title))
	c.print(`<rect width="%g" height="%g" rx="8" fill="%s" stroke="%s"/>`+"\n", width, height, paper, frame)
	return c
}

func (c *canvas) print(format string, args ...any) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.w, format, args...)
	}
}

// close ends the picture and returns the first error there was.
func (c *canvas) close() error {
	c.print("</svg>\n")
	if c.err == nil {
		c.err = c.w.Flush()
	}
	return c.err
}

func (c *canvas) text(x, y float64, style, text string) {
	c.print(`<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, style, escape(text))
}

func (c *canvas) rect(x, y, width, height float64, fill string) {
	c.print(`<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>`+"\n", x, y, width, height, fill)
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string) {
	c.print(`<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" fill="none"/>`+"\n", x1, y1, x2, y2, stroke)
}

// bars draws many rectangles of one colour and height.
func (c *canvas) bars(spans []interval, y, height float64, fill string) {
	if len(spans) == 0 {
		return
	}
	c.print(`<path fill="%s" d="`, fill)
	for _, s := range spans {
		c.print("M%.1f %.1fh%.1fv%.1fh%.1fz", s.from, y, s.to-s.from, height, s.from-s.to)
	}
	c.print("\"/>\n")
}

// escape writes text for XML. What XML cannot hold at all becomes a question mark.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // to memory
	return b.String()
}

// interval is from one place to another, in the picture's units.
type interval struct{ from, to float64 }

// merge joins the intervals of a sorted list that are less than gap apart, and makes
// each at least that wide: what is narrower cannot be seen.
func merge(all []interval, gap float64) []interval {
	var merged []interval
	for _, s := range all {
		s.to = max(s.to, s.from+gap)
		if n := len(merged) - 1; n >= 0 && s.from-merged[n].to < gap {
			merged[n].to = max(merged[n].to, s.to)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// step returns a round step, of which a length has about n.
func step(length time.Duration, n int) time.Duration {
	if length <= 0 {
		return 1
	}
	raw := float64(length) / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*unit >= raw {
			return max(1, time.Duration(f*unit))
		}
	}
	return max(1, time.Duration(10*unit))
}

// short is a duration in three digits or so.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
}
