// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"testing"
)

func TestMedianOf(t *testing.T) {
	for _, c := range []struct {
		n         int
		low, high float64 // ranks from 1, as in tables of the sign test
	}{{5, 1, 5}, {6, 1, 6}, {9, 2, 8}, {21, 6, 16}, {121, 50, 72}} {
		var v []float64
		for i := range c.n {
			v = append(v, float64(i+1))
		}
		rand.Shuffle(c.n, func(i, j int) { v[i], v[j] = v[j], v[i] })
		got := medianOf(v)
		if want := (interval{Median: float64(c.n+1) / 2, Low: c.low, High: c.high, N: c.n}); got != want {
			t.Errorf("of 1 to %d: %+v, want %+v", c.n, got, want)
		}
	}
}
