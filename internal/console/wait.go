// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// tellAfter is how long something may take in silence, tellEvery how often it is told again that it goes on.
	tellAfter = 2 * time.Second
	tellEvery = 15 * time.Second
)

// Waiting tells, once it has taken two seconds and then now and again, what is waited for, until stop is called. Nothing is told after that.
func Waiting(w io.Writer, what string) (stop func()) {
	var mu sync.Mutex
	began, over := time.Now(), false
	var t *time.Timer
	mu.Lock()
	defer mu.Unlock()
	t = time.AfterFunc(tellAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		fmt.Fprintf(w, "waiting for %s (%v)\n", what, time.Since(began).Round(time.Second))
		t.Reset(tellEvery)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		t.Stop()
	}
}
