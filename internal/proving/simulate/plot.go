package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette/brewer"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// mostCurves bounds what can be told apart in one plot.
const mostCurves = 8

// plotted draws how much of the file the peers held over time: the mean of all as a line, from
// the last to the first as its shade. Time is in bounds, which makes runs with different links
// comparable, and 1 the best that is possible.
func plotted(runs []result, dir string) (path string, err error) {
	p := plot.New()
	p.Title.Text = "What the peers hold: mean, first and last"
	p.X.Label.Text, p.Y.Label.Text = "time ÷ bound", "part of the file"
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, 1
	p.Title.Padding, p.X.Padding = vg.Points(8), vg.Points(4)
	p.Legend.Padding, p.Legend.YOffs, p.Legend.XOffs = vg.Points(3), vg.Points(6), -vg.Points(6)
	p.Add(plotter.NewGrid())
	colors, err := brewer.GetPalette(brewer.TypeQualitative, "Dark2", mostCurves)
	if err != nil {
		return "", err
	}
	for i, r := range runs {
		if err := curve(p, r, colors.Colors()[i]); err != nil {
			return "", err
		}
	}
	if err := ideal(p); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "progress.png")
	return path, p.Save(24*vg.Centimeter, 14*vg.Centimeter, path)
}

func curve(p *plot.Plot, r result, c color.Color) error {
	var mean, least, most plotter.XYs
	for _, x := range r.Curve {
		at := r.Ratio(x.At)
		mean = append(mean, plotter.XY{X: at, Y: x.Mean})
		least = append(least, plotter.XY{X: at, Y: x.Least})
		most = append(most, plotter.XY{X: at, Y: x.Most})
	}
	slices.Reverse(most)
	shade, err := plotter.NewPolygon(append(least, most...))
	if err != nil {
		return err
	}
	red, green, blue, _ := c.RGBA()
	shade.Color = color.NRGBA{uint8(red >> 8), uint8(green >> 8), uint8(blue >> 8), 48}
	shade.LineStyle.Width = 0
	line, err := plotter.NewLine(mean)
	if err != nil {
		return err
	}
	line.Color, line.Width = c, vg.Points(1.5)
	p.Add(shade, line)
	p.Legend.Add(fmt.Sprintf("%s, %s, %d peers", r.Plan.Scenario, r.Plan.Strategy, r.Plan.Peers), line)
	return nil
}

// ideal is the line of a fluid that is forwarded at once.
func ideal(p *plot.Plot) error {
	line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return err
	}
	line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(line)
	p.Legend.Add("bound", line)
	return nil
}
