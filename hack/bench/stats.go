// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// interval is a median with its confidence interval.
type interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	N      int     `json:"n"`
}

func (i interval) width() float64 { return i.High - i.Low }

// medianOf returns the median and its 95 % confidence interval by order statistics, which asks nothing of how the
// values are distributed. Below six values there is no such interval: it is then from the least to the greatest.
func medianOf(values []float64) interval {
	if len(values) == 0 {
		return interval{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	k := 0 // so many values may be cut off at each end
	for p := 0.0; k < n/2; k++ {
		if p += binomialHalf(n, k); p > 0.025 {
			break
		}
	}
	k = max(k-1, 0)
	return interval{Median: quantile(v, 0.5), Low: v[k], High: v[n-1-k], N: n}
}

// binomialHalf is the probability of k heads in n tosses.
func binomialHalf(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c - float64(n)*math.Ln2)
}

// quantile of sorted values, interpolated.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// seconds turns durations into numbers.
func seconds(ds []time.Duration) []float64 {
	var v []float64
	for _, d := range ds {
		v = append(v, d.Seconds())
	}
	return v
}
