// SPDX-License-Identifier: Apache-2.0

// Package progress tells a person what goes on, a line for each step, and again every few seconds while one lasts.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Patience is how often a step that lasts is told of.
const Patience = 10 * time.Second

// Reporter writes lines.
type Reporter struct {
	out     io.Writer
	mu      sync.Mutex
	details map[string]func() string
}

// New returns a reporter that writes to out.
func New(out io.Writer) *Reporter {
	return &Reporter{out: out, details: map[string]func() string{}}
}

// Step says that something begins, and what it is. What is returned says that it has ended, and how.
func (r *Reporter) Step(name, what string) (done func(error)) {
	began := time.Now()
	r.Line(name, what)
	ended := make(chan struct{})
	go func() {
		tick := time.NewTicker(Patience)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				r.Line(name, "still at it after "+time.Since(began).Round(time.Second).String()+r.detail(name))
			}
		}
	}()
	return func(err error) {
		close(ended)
		r.Detail(name, nil)
		took := time.Since(began).Round(100 * time.Millisecond)
		if err != nil {
			r.Line(name, fmt.Sprintf("failed after %v", took))
			return
		}
		r.Line(name, fmt.Sprintf("done in %v", took))
	}
}

// Detail sets what is said of a step while it lasts.
func (r *Reporter) Detail(name string, detail func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.details[name] = detail
}

func (r *Reporter) detail(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.details[name]; d != nil {
		return ": " + d()
	}
	return ""
}

// Line writes a line.
func (r *Reporter) Line(name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "  %-14s %s\n", name, text)
}
