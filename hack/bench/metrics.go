// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// metrics reads what one of our nodes tells. The names have their labels.
func (n *node) metrics(ctx context.Context) (map[string]float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.http+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	m := parseMetrics(a.Body)
	if len(m) == 0 {
		return nil, fmt.Errorf("%s tells no metrics: %s", n.name, a.Status)
	}
	return m, nil
}

func parseMetrics(from io.Reader) map[string]float64 {
	m := map[string]float64{}
	for lines := bufio.NewScanner(from); lines.Scan(); {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
			m[line[:i]] = v
		}
	}
	return m
}

// heap is how many bytes a node's heap holds after a collection: the least that is seen while it collects several times. Being asked
// is what makes it collect.
func (n *node) heap(ctx context.Context) (float64, error) {
	least, first := 0.0, -1.0
	err := until(ctx, "collections of "+n.name, 2*time.Minute, time.Millisecond, func() bool {
		m, err := n.metrics(ctx)
		if err != nil {
			return false
		}
		cycles, now := m["go_gc_duration_seconds_count"], m["go_memstats_heap_alloc_bytes"]
		if first < 0 {
			first = cycles
		}
		// What it held before the first collection may be garbage.
		if cycles > first && (least == 0 || now < least) {
			least = now
		}
		return cycles >= first+collections
	})
	return least, err
}

// collections are so many that one of them is without what was in flight.
const collections = 4

// resident is how many bytes of memory a process has.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0, errors.New("statm can't be read")
	}
	pages, err := strconv.ParseFloat(f[1], 64)
	return pages * float64(os.Getpagesize()), err
}

// watermark follows the memory of processes and keeps the most that each had.
type watermark struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	mu    sync.Mutex
	most  map[string]float64
}

func startWatermark(ctx context.Context, nodes ...*node) *watermark {
	ctx, cancel := context.WithCancel(ctx)
	w := &watermark{stop: cancel, most: map[string]float64{}}
	for _, n := range nodes {
		if n.cmd == nil {
			continue
		}
		name, pid := n.name, n.cmd.Process.Pid
		w.group.Go(func() {
			for ; ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
				if v, err := resident(pid); err == nil {
					w.mu.Lock()
					w.most[name] = max(w.most[name], v)
					w.mu.Unlock()
				}
			}
		})
	}
	return w
}

// peak ends the watch and returns the most that any of the processes had, in MiB.
func (w *watermark) peak() (most float64) {
	w.stop()
	w.group.Wait()
	for _, v := range w.most {
		most = max(most, v)
	}
	return most / (1 << 20)
}
