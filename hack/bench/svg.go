// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// mark is something that happened at a time of a timeline.
type mark struct {
	at   time.Duration
	text string
}

// series is one line of a timeline: acknowledged writes, counted in steps of time.
type series struct {
	name   string
	color  string
	counts []int
	marks  []mark
}

// step is the time that one point of a series stands for.
const step = 100 * time.Millisecond

// count makes a series of acknowledgements from begin to end.
func count(name, color string, acks []time.Time, begin, end time.Time) series {
	s := series{name: name, color: color, counts: make([]int, int(end.Sub(begin)/step))}
	for _, t := range acks {
		if i := int(t.Sub(begin) / step); i >= 0 && i < len(s.counts) {
			s.counts[i]++
		}
	}
	return s
}

const (
	pictureWidth = 860
	panelHeight  = 170
	left, right  = 70, 20
	top, between = 46, 62
)

// picture draws the series below each other, on one axis of time and one scale.
func picture(title string, all ...series) string {
	most, longest := 1, 1
	for _, s := range all {
		longest = max(longest, len(s.counts))
		for _, c := range s.counts {
			most = max(most, c)
		}
	}
	height := top + len(all)*(panelHeight+between)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" fill="#222222">%s</text>`+"\n", left, html.EscapeString(title))
	for i, s := range all {
		panel(&b, s, top+i*(panelHeight+between)+20, most, longest)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func panel(b *strings.Builder, s series, y, most, longest int) {
	width, base := pictureWidth-left-right, y+panelHeight-20
	px := func(steps float64) float64 { return left + steps/float64(max(longest-1, 1))*float64(width) }
	py := func(c int) float64 { return float64(base) - float64(c)/float64(most)*float64(panelHeight-66) }
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s" font-weight="bold">%s</text>`+"\n", left, y-6, s.color, html.EscapeString(s.name))
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#888888"/>`+"\n", left, base, left+width, base)
	fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="end" fill="#555555">%d/s</text>`+"\n", left-6, py(most)+4, most*int(time.Second/step))
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#555555">0</text>`+"\n", left-6, base+4)
	var points []string
	for i, c := range s.counts {
		points = append(points, fmt.Sprintf("%.1f,%.1f", px(float64(i)), py(c)))
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.2" points="%s"/>`+"\n", s.color, strings.Join(points, " "))
	perSecond := float64(time.Second / step)
	every := 1 + longest/int(perSecond)/14 // about 14 labels
	for t := 0; float64(t)*perSecond < float64(longest); t += every {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">%d s</text>`+"\n", px(float64(t)*perSecond), base+16, t)
	}
	for i, m := range s.marks {
		x := px(float64(m.at) / float64(step))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#c03030" stroke-dasharray="3 3"/>`+"\n", x, y, x, base)
		// Neighbours take turns in height, so that their texts do not cover each other.
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#c03030" font-size="11">%s</text>`+"\n", x+3, y+8+13*(i%3), html.EscapeString(m.text))
	}
}
