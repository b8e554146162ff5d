// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// results is what one run measured; what was not run is absent.
type results struct {
	When       time.Time   `json:"when"`
	Go         string      `json:"go"`
	CPUs       int         `json:"cpus"`
	Server     string      `json:"natsServer"`
	Throughput []pairRow   `json:"throughput,omitempty"`
	Starts     []startRow  `json:"starts,omitempty"`
	Grow       *growResult `json:"grow,omitempty"`
	Restore    *growResult `json:"restore,omitempty"` // by hand, of stock
	Failovers  []failRow   `json:"failovers,omitempty"`
	// Nursed counts, by kind, the restarts that it took to make a cluster whole again after a failover; stock may need some.
	Nursed map[string]int `json:"nursed,omitempty"`
	Calm   *calmResult    `json:"calm,omitempty"`

	Revocations []revokeRow   `json:"revocations,omitempty"`
	Logins      []besideRow   `json:"logins,omitempty"`
	History     []besideRow   `json:"history,omitempty"`
	Client      []besideRow   `json:"client,omitempty"`
	Memory      *memoryResult `json:"memory,omitempty"`
	Storms      []stormRow    `json:"storms,omitempty"`
}

func newResults(stock string) (*results, error) {
	version, err := exec.Command(stock, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("version of %s: %w", stock, err)
	}
	return &results{When: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Server: strings.TrimSpace(string(version))}, nil
}

// write writes the results as JSON.
func (r *results) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// held says whether all that was judged is within its bound.
func (r *results) held() bool {
	ok := true
	for _, t := range r.Throughput {
		ok = ok && t.Held
	}
	for _, f := range r.Failovers {
		ok = ok && f.Held
	}
	return ok && r.usersHeld() && r.Nursed["ours"] == 0 && (r.Calm == nil || r.Calm.Held) && (r.Grow == nil || r.Grow.Missing == 0)
}

// print writes the results as tables.
func (r *results) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d CPUs, %s, beside stock %s\n", r.When.Format(time.RFC3339), r.CPUs, r.Go, r.Server)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Throughput) > 0 {
		fmt.Fprintf(w, "\nmessages per second\tours\tstock\tours/stock\t95 %% interval\tpairs\t>= %.2f\n", leastRatio)
		for _, t := range r.Throughput {
			fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.3f\t%.3f to %.3f\t%d\t%s\n",
				t.Workload, t.Ours.Median, t.Stock.Median, t.Ratio.Median, t.Ratio.Low, t.Ratio.High, t.Ratio.N, word(t.Held))
		}
	}
	if len(r.Starts) > 0 {
		fmt.Fprintf(w, "\nseconds until a key is written\tours\tstock\ttimes\n")
		for _, s := range r.Starts {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", s.Start, span(s.Ours), span(*s.Stock), s.Ours.N)
		}
	}
	r.Grow.print(w, "1 -> 3 in place, ours")
	r.Restore.print(w, "1 -> 3 by backup and restore, stock")
	if len(r.Failovers) > 0 {
		fmt.Fprintf(w, "\nseconds without an acknowledgement\tours\tworst\tstock\tours/stock\ttimes\tbound\n")
		for _, f := range r.Failovers {
			fmt.Fprintf(w, "%s\t%s\t%.3f\t%s\t%.2f\t%d\t%s %s\n", f.Fault, span(f.Ours), f.Worst, span(f.Stock), f.Ratio, f.Ours.N, f.Bound, word(f.Held))
		}
	}
	if len(r.Nursed) > 0 {
		fmt.Fprintf(w, "restarts by hand until all was whole again\t%d\t\t%d\n", r.Nursed["ours"], r.Nursed["stock"])
	}
	if c := r.Calm; c != nil {
		fmt.Fprintf(w, "\nall cores busy for %.0f s, no fault\t%d acknowledged\tlongest gap %.3f s\t%d elections, terms grew by %d\t%s\n",
			c.Seconds, c.Acknowledged, c.LongestGap, c.Elections, c.Terms, word(c.Held))
	}
	r.printUsers(w)
	return w.Flush()
}

func (g *growResult) print(w io.Writer, how string) {
	if g != nil {
		fmt.Fprintf(w, "\n%s, %d keys before\t%.2f s\tlongest gap %.3f s\t%d acknowledged meanwhile, %d missing\n",
			how, g.Keys, g.Seconds, g.LongestGap, g.Acknowledged, g.Missing)
	}
}

func span(i interval) string { return fmt.Sprintf("%.3f (%.3f to %.3f)", i.Median, i.Low, i.High) }

func word(held bool) string {
	if held {
		return "held"
	}
	return "NOT HELD"
}
