package main

import (
	"bytes"
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of a chart, in pixels.
const (
	chartWidth  = 900
	panelHeight = 300 // with its title and its ticks
	plotLeft    = 76  // beside the ticks
	plotRight   = 250 // beside the names of the curves
	plotTop     = 34  // below the title
	plotFoot    = 46  // above the ticks and the axis's title
	chartTop    = 44
	chartFoot   = 30
)

// Colors that people who see few colors tell apart, dark enough on white. They are a line's; a figure has its dashes.
var (
	colors = []string{"#0072b2", "#d55e00", "#009e73", "#a8417c", "#7a6a00", "#333333"}
	dashes = []string{"", "7 4", "2 3"}
)

// curve is one figure of one line of points.
type curve struct {
	name, color, dash string
	x, y              []float64
}

// curvesOf returns what a panel draws of the points.
func curvesOf(p *panel, points []point) []curve {
	var all []curve
	for i, line := range linesOf(points) {
		for j, f := range p.curves {
			c := curve{name: nameOf(line, f.label), color: colors[i%len(colors)], dash: dashes[j%len(dashes)]}
			if line == "" {
				c.color, c.dash = colors[j%len(colors)], ""
			}
			for _, pt := range points {
				if y, ok := pt.Median[f.value]; ok && pt.Line == line {
					c.x, c.y = append(c.x, pt.X), append(c.y, y)
				}
			}
			if len(c.x) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// nameOf names a curve: its line, its figure, or both.
func nameOf(line, figure string) string {
	if line == "" || figure == "" {
		return line + figure
	}
	return line + ": " + figure
}

// chart draws a result as an SVG that stands alone. Its ground is white, whatever the page around it is like.
func (r *result) chart() []byte {
	var b bytes.Buffer
	height := chartTop + panelHeight*len(r.of.panels) + chartFoot
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#222">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(r.Title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, height)
	text(&b, 14, 27, `font-size="18" font-weight="bold"`, r.Title)
	for i := range r.of.panels {
		p := &r.of.panels[i]
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", chartTop+i*panelHeight)
		drawPanel(&b, p, r.of.x, curvesOf(p, r.Points))
		b.WriteString("</g>\n")
	}
	text(&b, 14, float64(height-11), `font-size="11" fill="#555"`, r.where())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawPanel(b *bytes.Buffer, p *panel, x axis, curves []curve) {
	var xs, ys []float64
	for _, c := range curves {
		xs, ys = append(xs, c.x...), append(ys, c.y...)
	}
	across := scaleOf(xs, x.log, plotLeft, chartWidth-plotRight)
	up := scaleOf(ys, p.log, panelHeight-plotFoot, plotTop)
	text(b, 14, 18, `font-size="14" font-weight="bold"`, p.title)
	for _, t := range up.ticks {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", plotLeft, up.at(t), chartWidth-plotRight)
		text(b, plotLeft-8, up.at(t)+4, `text-anchor="end"`, rounded(t))
	}
	for _, t := range across.ticks {
		fmt.Fprintf(b, `<path d="M%.1f %dv5" stroke="#555"/>`+"\n", across.at(t), panelHeight-plotFoot)
		text(b, across.at(t), panelHeight-plotFoot+19, `text-anchor="middle"`, rounded(t))
	}
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" stroke="#555"/>`+"\n", plotLeft, plotTop, panelHeight-plotFoot, chartWidth-plotRight)
	text(b, float64(plotLeft+chartWidth-plotRight)/2, panelHeight-plotFoot+37, `text-anchor="middle" fill="#555"`, x.title)
	for i, c := range curves {
		c.draw(b, across, up)
		if c.name == "" {
			continue // the panel's title says what it is
		}
		at := float64(plotTop + 10 + 20*i)
		fmt.Fprintf(b, `<path d="M%d %.1fh28" %s/>`+"\n", chartWidth-plotRight+14, at, c.stroke())
		text(b, chartWidth-plotRight+50, at+4, "", c.name)
	}
}

func (c *curve) stroke() string {
	s := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2"`, c.color)
	if c.dash != "" {
		s += fmt.Sprintf(` stroke-dasharray="%s"`, c.dash)
	}
	return s
}

// draw draws the curve, and a dot at each point if they are few.
func (c *curve) draw(b *bytes.Buffer, across, up scale) {
	const few = 20
	var line strings.Builder
	for i := range c.x {
		fmt.Fprintf(&line, "%.1f,%.1f ", across.at(c.x[i]), up.at(c.y[i]))
		if len(c.x) <= few {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", across.at(c.x[i]), up.at(c.y[i]), c.color)
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" %s/>`+"\n", strings.TrimSpace(line.String()), c.stroke())
}

func text(b *bytes.Buffer, x, y float64, style, s string) {
	if s != "" {
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, style, html.EscapeString(s))
	}
}

// distinct returns the different ones, in order.
func distinct(all []float64) []float64 { return slices.Compact(slices.Sorted(slices.Values(all))) }
