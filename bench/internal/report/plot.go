package report

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Picture is how the curves of one name are drawn.
type Picture struct {
	File, Title, X, Y string
	LogX, LogY        bool
	Bars              bool // each curve is one colour of bars, at X = 0, 1, …
	Labels            []string
	Steps             bool
}

// Plots writes the pictures that have curves to dir and returns their names.
func (r *Run) Plots(dir string, pictures []Picture) ([]string, error) {
	var written []string
	for _, pic := range pictures {
		var curves []Curve
		for _, c := range r.Curves {
			if c.Plot == pic.File && len(c.X) > 0 {
				curves = append(curves, c)
			}
		}
		if len(curves) == 0 {
			continue
		}
		p, err := pic.draw(curves)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pic.File, err)
		}
		name := pic.File + ".svg"
		if err := save(p, filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("%s: %w", pic.File, err)
		}
		written = append(written, name)
	}
	return written, nil
}

// save writes a plot with its legend at its right, where it hides nothing.
func save(p *plot.Plot, path string) error {
	const width, height, forLegend = 24 * vg.Centimeter, 12 * vg.Centimeter, 6 * vg.Centimeter
	svg := vgsvg.New(width, height)
	canvas := draw.New(svg)
	legend := p.Legend
	p.Legend = plot.NewLegend()
	p.Draw(draw.Crop(canvas, 0, -forLegend, 0, 0))
	legend.Draw(draw.Crop(canvas, width-forLegend, 0, 0, -vg.Centimeter))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(f)
	return errors.Join(err, f.Close())
}

func (pic Picture) draw(curves []Curve) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = pic.Title, pic.X, pic.Y
	p.BackgroundColor = color.White
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = vg.Points(9)
	p.Legend.Padding = vg.Points(3)
	p.Add(plotter.NewGrid())
	if pic.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if pic.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	var err error
	if pic.Bars {
		err = pic.bars(p, curves)
	} else {
		err = pic.lines(p, curves)
	}
	return p, err
}

func (pic Picture) lines(p *plot.Plot, curves []Curve) error {
	for i, c := range curves {
		var xys plotter.XYs
		for j := range c.X {
			if pic.LogX && c.X[j] <= 0 || pic.LogY && c.Y[j] <= 0 {
				continue
			}
			xys = append(xys, plotter.XY{X: c.X[j], Y: c.Y[j]})
		}
		if len(xys) == 0 {
			continue
		}
		slices.SortFunc(xys, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return err
		}
		line.Color, points.Color = plotutil.Color(i), plotutil.Color(i)
		points.Shape = draw.CircleGlyph{}
		points.Radius = vg.Points(2)
		line.Width = vg.Points(1.2)
		if i == 0 {
			line.Width = vg.Points(2.5)
		}
		if i >= len(plotutil.SoftColors) {
			line.Dashes = plotutil.Dashes(1)
		}
		if pic.Steps {
			line.StepStyle = plotter.PostStep
			p.Add(line)
			p.Legend.Add(c.Name, line)
			continue
		}
		p.Add(line, points)
		p.Legend.Add(c.Name, line, points)
	}
	return nil
}

func (pic Picture) bars(p *plot.Plot, curves []Curve) error {
	n := len(curves[0].X)
	width := vg.Points(380 / float64(n) / float64(len(curves)+1))
	for i, c := range curves {
		bars, err := plotter.NewBarChart(plotter.Values(c.Y), width)
		if err != nil {
			return err
		}
		bars.Color = plotutil.Color(i)
		bars.LineStyle.Width = 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(curves)-1)/2)
		p.Add(bars)
		if len(curves) > 1 {
			p.Legend.Add(c.Name, bars)
		}
	}
	if len(pic.Labels) > 0 {
		p.NominalX(pic.Labels...)
	}
	return nil
}
