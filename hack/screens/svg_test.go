// SPDX-License-Identifier: Apache-2.0

package screens

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// Cells and letters of a picture, in pixels. A letter of the common monospaced fonts is 0.6 of its size wide.
const (
	cellWidth, cellHeight = 8.4, 18.0
	fontSize              = 14
	margin                = 10.0
)

// look is how a run of letters is drawn; colours are as SVG takes them, empty for the screen's own.
type look struct {
	ink, behind           string
	bold, faint, backward bool
}

// sgr changes a look as the parameters of a sequence say.
func (l *look) sgr(params string) {
	p := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(p) == 0 {
		p = []string{"0"}
	}
	for i := 0; i < len(p); i++ {
		n, _ := strconv.Atoi(p[i]) // what is no number changes nothing that 0 does not
		switch {
		case n == 0:
			*l = look{}
		case n == 1:
			l.bold = true
		case n == 2:
			l.faint = true
		case n == 7:
			l.backward = true
		case n == 22:
			l.bold, l.faint = false, false
		case n == 27:
			l.backward = false
		case n >= 30 && n <= 37:
			l.ink = colour(n - 30)
		case n >= 90 && n <= 97:
			l.ink = colour(n - 90 + 8)
		case n == 39:
			l.ink = ""
		case n >= 40 && n <= 47:
			l.behind = colour(n - 40)
		case n == 49:
			l.behind = ""
		case (n == 38 || n == 48) && i+2 < len(p) && p[i+1] == "5":
			c, _ := strconv.Atoi(p[i+2])
			if i += 2; n == 38 {
				l.ink = colour(c)
			} else {
				l.behind = colour(c)
			}
		}
	}
}

// basic are the first 16 colours, as xterm has them.
var basic = []string{"#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5",
	"#7f7f7f", "#ff0000", "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff"}

// colour is one of the 256 of terminals.
func colour(n int) string {
	switch {
	case n < 0 || n > 255:
		return ""
	case n < 16:
		return basic[n]
	case n >= 232:
		grey := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
	}
	level := func(v int) int {
		if v == 0 {
			return 0
		}
		return 55 + 40*v
	}
	n -= 16
	return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
}

// draw makes a picture of a screen's lines, on which only colours are obeyed. As tmux prints them, colours go on from line to line, and what
// is empty at a line's end is left out.
func draw(lines []string, columns int, dark bool) string {
	ink, behind := "#1a1a1a", "#ffffff"
	if dark {
		ink, behind = "#d8d8d8", "#161616"
	}
	width, height := float64(columns)*cellWidth+2*margin, float64(len(lines))*cellHeight+2*margin
	var out strings.Builder
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"%d\">\n",
		width, height, width, height, fontSize)
	fmt.Fprintf(&out, "<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"%s\" stroke=\"#808080\" stroke-opacity=\"0.5\"/>\n", behind)
	var l look
	for row, line := range lines {
		for column := 0; line != ""; {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				params, after, _ := strings.Cut(rest, "m")
				l.sgr(params)
				line = after
				continue
			}
			text, _, _ := strings.Cut(line, "\x1b")
			line = line[max(len(text), 1):]
			cells := ansi.StringWidth(text)
			if line == "" && l.behind != "" {
				cells = max(cells, columns-column)
			}
			drawRun(&out, l, text, row, column, cells, ink, behind)
			column += cells
		}
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// drawRun draws letters that look alike.
func drawRun(out *strings.Builder, l look, text string, row, column, cells int, ink, behind string) {
	x, y := margin+float64(column)*cellWidth, margin+float64(row)*cellHeight
	front, back := l.ink, l.behind
	if front == "" {
		front = ink
	}
	if l.backward {
		if back == "" {
			back = behind
		}
		front, back = back, front
	}
	if back != "" {
		fmt.Fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, float64(cells)*cellWidth, cellHeight, back)
	}
	shown := strings.TrimRight(text, " ")
	lead := len(shown) - len(strings.TrimLeft(shown, " "))
	if shown = shown[lead:]; shown == "" {
		return
	}
	style := ""
	if l.bold {
		style += " font-weight=\"bold\""
	}
	if l.faint {
		style += " opacity=\"0.6\""
	}
	fmt.Fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" textLength=\"%.1f\" fill=\"%s\"%s xml:space=\"preserve\">%s</text>\n",
		x+float64(lead)*cellWidth, y+0.75*cellHeight, float64(ansi.StringWidth(shown))*cellWidth, front, style, html.EscapeString(shown))
}

func TestDraw(t *testing.T) {
	got := draw([]string{"a \x1b[1;38;5;75mann:\x1b[0m <hi>", "\x1b[7mx\x1b[m", "\x1b[38;5;242m\x1b[48;5;254m bar", "\x1b[49mgrey", "too\x1b[39m"}, 80, true)
	for _, want := range []string{
		`>a</text>`, `fill="#5fafff" font-weight="bold" xml:space="preserve">ann:</text>`, `<text x="68.8" y="23.5"`, `>&lt;hi&gt;</text>`,
		`fill="#d8d8d8"/>`, `fill="#161616" xml:space="preserve">x</text>`,
		`<rect x="10.0" y="46.0" width="672.0" height="18.0" fill="#e4e4e4"/>`, `fill="#6c6c6c" xml:space="preserve">grey</text>`,
		`fill="#6c6c6c" xml:space="preserve">too</text>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if bars := strings.Count(got, "#e4e4e4"); bars != 1 {
		t.Errorf("%d bars:\n%s", bars, got)
	}
}
