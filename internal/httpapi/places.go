// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"sync"
)

const (
	// mostPages is how many pages of history are read at a time, beside one of each class: each takes some MiB of memory. Of one class are
	// mostOfClass. So however many classes can't be read, the others go on; and classes are few, since each reserves space on the disk.
	mostPages, mostOfClass = 8, 6
)

// places are those of who reads a page.
type places struct {
	all chan struct{}

	mu      sync.Mutex
	ofClass map[string]classPlaces // of each that was ever read
}

// classPlaces are those of one class: all that it may have, and the one that nobody else gets.
type classPlaces struct{ most, own chan struct{} }

func newPlaces() *places {
	return &places{all: make(chan struct{}, mostPages), ofClass: map[string]classPlaces{}}
}

// enter waits for a place, which is free again when leave is called. It fails when the context ends before.
func (p *places) enter(ctx context.Context, class string) (leave func(), err error) {
	p.mu.Lock()
	c, ok := p.ofClass[class]
	if !ok {
		c = classPlaces{make(chan struct{}, mostOfClass), make(chan struct{}, 1)}
		p.ofClass[class] = c
	}
	p.mu.Unlock()
	select {
	case c.most <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case c.own <- struct{}{}:
		return func() { <-c.own; <-c.most }, nil
	case p.all <- struct{}{}:
		return func() { <-p.all; <-c.most }, nil
	case <-ctx.Done():
		<-c.most
		return nil, ctx.Err()
	}
}
