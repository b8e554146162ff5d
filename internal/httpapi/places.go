// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"sync"
)

const (
	// mostPages is how many pages of history are read at a time: each takes some MiB of memory. Of one class are mostOfClass, so that one
	// which can't be read leaves something to the others.
	mostPages, mostOfClass = 8, 6
)

// places are those of who reads a page.
type places struct {
	all chan struct{}

	mu      sync.Mutex
	ofClass map[string]chan struct{} // of each that was ever read: classes are few
}

func newPlaces() *places {
	return &places{all: make(chan struct{}, mostPages), ofClass: map[string]chan struct{}{}}
}

// enter waits for a place, which is free again when leave is called. It fails when the context ends before.
func (p *places) enter(ctx context.Context, class string) (leave func(), err error) {
	p.mu.Lock()
	own := p.ofClass[class]
	if own == nil {
		own = make(chan struct{}, mostOfClass)
		p.ofClass[class] = own
	}
	p.mu.Unlock()
	select {
	case own <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all; <-own }, nil
	case <-ctx.Done():
		<-own
		return nil, ctx.Err()
	}
}
