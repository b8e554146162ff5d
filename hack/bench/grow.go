// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
)

// growResult tells how a cluster grew from one to three under writes.
type growResult struct {
	Keys         int     `json:"keys"`    // in a bucket, before
	Seconds      float64 `json:"seconds"` // until the command was done
	LongestGap   float64 `json:"longestGap"`
	Acknowledged int     `json:"acknowledged"` // writes, meanwhile
	Missing      int     `json:"missing"`      // of those and of the keys
}

func (p *program) grow(context.Context) (*growResult, error) { return nil, errors.New("later") }

func (p *program) draw(context.Context) error { return errors.New("later") }

var _ = time.Second
