// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"sync"
	"text/template"
	"time"
)

// haste is how many times faster than the demo its recording is.
const haste = 6

// recorder passes on what is written, a line at a time, and remembers when.
type recorder struct {
	out   io.Writer
	began time.Time

	mu    sync.Mutex
	lines []recorded
}

type recorded struct {
	Text string
	At   float64 // seconds after the beginning of the recording
}

func newRecorder(out io.Writer, command string) *recorder {
	return &recorder{out: out, began: time.Now(), lines: []recorded{{Text: "$ " + command}}}
}

// Write takes whole lines. What is waited for in between is told and not recorded.
func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte("  ... ")) {
			r.lines = append(r.lines, recorded{string(bytes.TrimRight(line, "\n")), time.Since(r.began).Seconds() / haste})
		}
	}
	return r.out.Write(b)
}

// film is a terminal whose lines come up when they were written. Who wants no motion sees all of them.
var film = template.Must(template.New("film").Funcs(template.FuncMap{"row": func(i int) int { return 30 + 20*i }}).Parse(
	`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 {{row (len .)}}" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">
<style>
text { fill: #d8d8d8; white-space: pre; opacity: 0; animation: appear 0.1s linear forwards }
@keyframes appear { to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { text { opacity: 1; animation: none } }
</style>
<rect width="100%" height="100%" rx="6" fill="#161616" stroke="#808080" stroke-opacity="0.5"/>
{{range $i, $line := .}}<text x="14" y="{{row $i}}" style="animation-delay: {{printf "%.2f" $line.At}}s" xml:space="preserve">{{html $line.Text}}</text>
{{end}}</svg>
`))

// save writes the recording, which ends with a line.
func (r *recorder) save(file, last string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	if err := film.Execute(&b, append(r.lines, recorded{last, time.Since(r.began).Seconds() / haste})); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
