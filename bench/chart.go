package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed chart.html
var chartPage string

var chartTemplate = template.Must(template.New("chart").Parse(chartPage))

// Chart writes a page with the run over time: a point a second. It stands alone, and needs no network.
func (r *Report) Chart(out io.Writer) error {
	var table strings.Builder
	if err := r.Print(&table); err != nil {
		return err
	}
	rate := panelOf("messages a second", "/s", r.Seconds,
		curve{"acked", "a", func(s Second) float64 { return float64(s.Acked) }},
		curve{"delivered", "d", func(s Second) float64 { return float64(s.Delivered) }},
	)
	latency := panelOf("latency", " ms", r.Seconds,
		curve{"ack p50", "a thin", func(s Second) float64 { return s.AckP50 }},
		curve{"ack p99", "a", func(s Second) float64 { return s.AckP99 }},
		curve{"delivery p50", "d thin", func(s Second) float64 { return s.DeliveryP50 }},
		curve{"delivery p99", "d", func(s Second) float64 { return s.DeliveryP99 }},
	)
	return chartTemplate.Execute(out, map[string]any{
		"Title": "whaleshark bench " + r.Bench, "At": r.At.Format("2006-01-02 15:04:05 UTC"),
		"Panels": []panel{rate, latency}, "Table": table.String(),
	})
}

// curve is what is drawn of each second.
type curve struct {
	name, class string
	of          func(Second) float64
}

// panel is a diagram. Its coordinates are those of the picture.
type panel struct {
	Title  string
	Width  int
	Height int
	Lines  []panelLine
	Y, X   []panelMark
}

type panelLine struct{ Name, Class, Points string }

type panelMark struct {
	At   float64
	Text string
}

const (
	panelWidth  = 860
	panelHeight = 260
	panelLeft   = 70 // beside the numbers
	panelFoot   = 30 // above the seconds
)

func panelOf(title, unit string, seconds []Second, curves ...curve) panel {
	p := panel{Title: title, Width: panelWidth, Height: panelHeight}
	var top, end float64
	for _, s := range seconds {
		end = math.Max(end, s.At)
		for _, c := range curves {
			top = math.Max(top, c.of(s))
		}
	}
	step := RoundStep(top / 4)
	top, end = math.Max(step*math.Ceil(top/step), step), math.Max(end, 1)
	x := func(v float64) float64 { return panelLeft + v/end*(panelWidth-panelLeft-10) }
	y := func(v float64) float64 { return 10 + (1-v/top)*(panelHeight-panelFoot-10) }
	for v := 0.0; v <= top+step/2; v += step {
		p.Y = append(p.Y, panelMark{y(v), fmt.Sprintf("%g%s", v, unit)})
	}
	each := RoundStep(end / 8)
	for v := 0.0; v <= end+each/100; v += each {
		p.X = append(p.X, panelMark{x(v), fmt.Sprintf("%g s", v)})
	}
	for _, c := range curves {
		var points strings.Builder
		for _, s := range seconds {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(s.At), y(c.of(s)))
		}
		p.Lines = append(p.Lines, panelLine{c.name, c.class, points.String()})
	}
	return p
}

// RoundStep returns a step of 1, 2 or 5 times a power of ten, no smaller than x.
func RoundStep(x float64) float64 {
	if x <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x {
			return m * power
		}
	}
	return 10 * power
}
