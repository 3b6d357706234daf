package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// MaxLines is how many lines a picture has at most.
const MaxLines = 6

// Picture is how the curves of one name are drawn.
type Picture struct {
	File, Title, X, Y string
	Better            string   // says which way is better
	Lines             []string // the keys of the contestants that are drawn, MaxLines at most
	LogX, LogY        bool
	Bars              bool // each curve is one colour of bars, at X = 0, 1, …
	Labels            []string
	Steps             bool
	Mark              float64 // where what is fair, or the best possible, is marked
	MarkName          string  // empty for no mark
}

// Plots writes the pictures that have curves to dir and returns their names.
func (r *Run) Plots(dir string, pictures []Picture) ([]string, error) {
	var written []string
	for _, pic := range pictures {
		curves := r.curves(pic)
		if len(curves) == 0 {
			continue
		}
		p, err := r.draw(pic, curves)
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

// curves returns those that a picture shows, in its order.
func (r *Run) curves(pic Picture) []Curve {
	var cs []Curve
	for _, key := range pic.Lines {
		for _, c := range r.Curves {
			if c.Plot == pic.File && c.Contestant == key && len(c.X) > 0 {
				cs = append(cs, c)
			}
		}
	}
	return cs
}

// sans is drawn with what each reader has of these, which are equally wide.
var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

const sansNames = "Liberation Sans,Arial,Helvetica,sans-serif"

// save writes a plot with its legend at its right, where it hides nothing. The
// background is white to the edges, as the page may be black, and has a frame,
// as it may be white.
func save(p *plot.Plot, path string) error {
	const width, height, margin = 25 * vg.Centimeter, 12 * vg.Centimeter, 10
	svg := vgsvg.New(width, height)
	canvas := draw.New(svg)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	canvas.SetColor(grey)
	canvas.SetLineWidth(1)
	canvas.Stroke(canvas.Rectangle.Path())
	legend := p.Legend
	forLegend := 1.1*legend.Rectangle(canvas).Size().X + 3*margin // some sans-serif is wider
	p.Legend = plot.NewLegend()
	p.Draw(draw.Crop(canvas, margin, -forLegend, margin, -margin))
	legend.Draw(draw.Crop(canvas, width-forLegend+2*margin, 0, 0, -4*margin))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	_, err = svg.WriteTo(&text)
	if err == nil {
		_, err = f.Write(bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:"+sansNames+";")))
	}
	return errors.Join(err, f.Close())
}

func (r *Run) draw(pic Picture, curves []Curve) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s, on %s: %s", pic.Title, r.kind(Filesystems[0]), pic.Better)
	p.X.Label.Text, p.Y.Label.Text = pic.X, pic.Y
	p.Title.TextStyle.Font, p.Title.Padding = font.From(sans, 14), 10
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font, a.Padding = font.From(sans, 12), font.From(sans, 11), 0
		a.Label.Padding = 4
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 6
	p.Legend.TextStyle.Font, p.Legend.ThumbnailWidth = font.From(sans, 11), 28
	p.Legend.YPosition = draw.PosCenter
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{205}, color.Gray{205}
	p.Add(grid)
	err := errors.Join(r.lines(p, pic, curves), mark(p, pic))
	round(&p.Y, pic.LogY)
	switch {
	case pic.Bars:
		p.NominalX(pic.Labels...)
	case pic.Steps:
		round(&p.X, pic.LogX)
	default:
		p.X.Tick.Marker = ticksAt(curves[0].X, pic.LogX)
	}
	return p, err
}

// lines adds the curves.
func (r *Run) lines(p *plot.Plot, pic Picture, curves []Curve) error {
	for i, c := range curves {
		of := r.contestant(c.Contestant)
		if pic.Bars {
			if err := bars(p, of, c, i, len(curves)); err != nil {
				return err
			}
			continue
		}
		var xys plotter.XYs
		for j := range c.X {
			if pic.LogX && c.X[j] <= 0 || pic.LogY && c.Y[j] <= 0 {
				continue
			}
			xys = append(xys, plotter.XY{X: position(c.X[j], pic.LogX), Y: position(c.Y[j], pic.LogY)})
		}
		if len(xys) == 0 {
			continue
		}
		slices.SortFunc(xys, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		if pic.Steps {
			xys = slices.Insert(xys, 0, plotter.XY{X: xys[0].X})
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return err
		}
		line.Color, points.Color = colourOf(of), colourOf(of)
		points.Shape, points.Radius = shapes[i], 3.5
		line.Width = 1.8
		if c.Contestant == Ours {
			line.Width = 3.5
		}
		if of.Floor {
			line.Dashes = []vg.Length{2, 3}
		}
		if pic.Steps {
			line.StepStyle = plotter.PostStep
			p.Add(line)
			p.Legend.Add(of.Name, line)
			continue
		}
		p.Add(line, points)
		p.Legend.Add(of.Name, line, points)
	}
	return nil
}

// bars adds the i-th of n curves as bars.
func bars(p *plot.Plot, of Contestant, c Curve, i, n int) error {
	width := vg.Points(380 / float64(len(c.X)) / float64(n+1))
	bars, err := plotter.NewBarChart(plotter.Values(c.Y), width)
	if err != nil {
		return err
	}
	bars.Color = colourOf(of)
	bars.LineStyle.Width = 0
	bars.Offset = width * vg.Length(float64(i)-float64(n-1)/2)
	p.Add(bars)
	p.Legend.Add(of.Name, bars)
	return nil
}

// mark adds a dashed line at what is fair, or the best possible.
func mark(p *plot.Plot, pic Picture) error {
	if pic.MarkName == "" {
		return nil
	}
	line, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: pic.Mark}, {X: p.X.Max, Y: pic.Mark}})
	if err != nil {
		return err
	}
	line.Width, line.Dashes = 1.5, []vg.Length{7, 4}
	p.Add(line)
	p.Legend.Add(pic.MarkName, line)
	return nil
}

// position is where on an axis a value is. Logarithms stand on an even axis here:
// with plot.LogScale a plot shrinks to make room for an axis' name, which is taken
// to stand beside the arithmetic mean.
func position(x float64, log bool) float64 {
	if log {
		return math.Log10(x)
	}
	return x
}

// round has an axis begin and end at a tick: at every decade, or at some round
// number.
func round(a *plot.Axis, log bool) {
	const most = 8
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 20, 50} {
		if step = s; log || (a.Max-a.Min)/step <= most {
			break
		}
	}
	a.Min, a.Max = step*math.Floor(a.Min/step), step*math.Ceil(a.Max/step)
	var at []float64
	for x := a.Min; x <= a.Max; x += step {
		if log {
			at = append(at, math.Pow(10, x))
		} else {
			at = append(at, x)
		}
	}
	a.Tick.Marker = ticksAt(at, log)
}

func ticksAt(xs []float64, log bool) plot.ConstantTicks {
	var ts plot.ConstantTicks
	for _, x := range xs {
		ts = append(ts, plot.Tick{Value: position(x, log), Label: grouped(x)})
	}
	return ts
}

// grouped prints a number with its thousands apart.
func grouped(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if x != math.Trunc(x) {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

var grey = color.Gray{120}

// colours are dark enough for a white background, and a contestant has the same
// in every picture.
var colours = map[string]color.Color{
	Ours:                color.RGBA{0x0b, 0x3d, 0x91, 0xff},
	"filelock-nolinger": color.RGBA{0x3f, 0x8e, 0xf0, 0xff},
	"gofrs":             color.RGBA{0xd1, 0x46, 0x0b, 0xff},
	"mutex-gofrs":       color.RGBA{0xa8, 0x7a, 0x00, 0xff},
	"gofrs-try10":       color.RGBA{0x8e, 0x3a, 0xa8, 0xff},
	"filemutex":         color.RGBA{0x1a, 0x7f, 0x37, 0xff},
	"juju":              color.RGBA{0x00, 0x83, 0x8f, 0xff},
	"lockedfile":        color.RGBA{0x7a, 0x4a, 0x21, 0xff},
	"ring":              grey,
}

func colourOf(c Contestant) color.Color {
	if colour, is := colours[c.Key]; is {
		return colour
	}
	return color.Black
}

var shapes = [MaxLines]draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{},
}
