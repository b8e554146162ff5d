// SPDX-License-Identifier: Apache-2.0

// Command firstread asks one question of a cluster that grows under load: may a reading straight after the last
// acknowledgement miss an acknowledged write, and is that write lost?
//
// In each growth one node founds a cluster, is restarted under writers, and grows to three; then writers are halted many times
// over, and the bucket is read at once as every watcher reads it, through a consumer on any replica. What such a reading
// misses is read again from the leader, and after the last one everything is read back from each replica as leader. The last
// line has the sums; the exit status is 1 when a write is lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/unibus/unibus/internal/e2e/load"
)

// sums are over all growths.
type sums struct {
	growths, acknowledged, glances, missing, short int
	oldest                                         time.Duration
	lost, duplicated                               int
}

func (s *sums) String() string {
	return fmt.Sprintf("firstread: growths %d acknowledged %d readings %d short %d missing %d oldest-ms %d lost %d duplicated %d",
		s.growths, s.acknowledged, s.glances, s.short, s.missing, s.oldest.Milliseconds(), s.lost, s.duplicated)
}

func main() {
	growths := flag.Int("growths", 10, "how many clusters are grown")
	glances := flag.Int("readings", 50, "how many readings there are after each growth")
	keys := flag.Int("keys", 4000, "how many acknowledged writes there are before each growth")
	busy := flag.Int("busy", 0, "how many goroutines keep the processors busy meanwhile")
	kill := flag.Bool("abrupt", false, "stop the founder without handing over")
	live := flag.Bool("live", false, "let the writers go on while it is read")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for range *busy {
		go spin(ctx)
	}
	var s sums
	if err := run(ctx, &s, plan{*growths, *glances, *keys, *kill, *live}); err != nil {
		fmt.Println(err)
		fmt.Println(&s)
		os.Exit(1)
	}
	fmt.Println(&s)
}

func spin(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if n%1000 == 0 {
			runtime.Gosched()
		}
	}
}

type plan struct {
	growths, glances, keys int
	abrupt, live           bool
}

func run(ctx context.Context, s *sums, p plan) error {
	for i := range p.growths {
		began := time.Now()
		if err := growth(ctx, s, p); err != nil {
			return fmt.Errorf("growth %d: %w", i+1, err)
		}
		fmt.Printf("growth %d took %v; %v\n", i+1, time.Since(began).Round(time.Second), s)
	}
	if s.lost > 0 || s.duplicated > 0 {
		return errors.New("acknowledged writes are lost or stored twice")
	}
	return nil
}

// growth is one cluster's.
func growth(ctx context.Context, s *sums, p plan) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	w, err := l.write()
	if err != nil {
		return err
	}
	halted := false
	defer func() {
		if !halted {
			w.Halt()
		}
	}()
	if err := l.until(ctx, "the first keys", func() string { return l.few(p.keys) }); err != nil {
		return err
	}
	if err := l.restart(ctx, p.abrupt); err != nil {
		return err
	}
	if err := l.grow(ctx); err != nil {
		return err
	}
	w.Halt()
	halted = true
	if err := l.glance(ctx, s); err != nil { // the one that the question is about
		return err
	}
	if err := l.glances(ctx, s, p); err != nil {
		return err
	}
	v, err := l.ledger.Verify(ctx, l.app, bucket, nil)
	if err != nil {
		return err
	}
	for _, m := range v.Misses {
		fmt.Println(m)
	}
	for _, d := range v.Duplicates {
		fmt.Println(d)
	}
	s.growths++
	s.acknowledged += l.ledger.Acknowledged()
	s.lost += v.Lost()
	s.duplicated += len(v.Duplicates)
	return nil
}

// glances repeats the reading, each after some more writes; the writers are halted before it, or go on.
func (l *lab) glances(ctx context.Context, s *sums, p plan) error {
	var w *load.Writers
	defer func() {
		if w != nil {
			w.Halt()
		}
	}()
	for range p.glances - 1 {
		if w == nil {
			var err error
			if w, err = l.write(); err != nil {
				return err
			}
		}
		before := l.ledger.Acknowledged()
		if err := l.until(ctx, "more keys", func() string { return l.few(before + 50) }); err != nil {
			return err
		}
		if !p.live {
			w.Halt()
			w = nil
		}
		if err := l.glance(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// glance reads the bucket at once, and tells of what is missing.
func (l *lab) glance(ctx context.Context, s *sums) error {
	misses, err := l.ledger.Glance(ctx, l.app, bucket)
	if err != nil {
		return err
	}
	s.glances++
	if len(misses) > 0 {
		s.short++
	}
	s.missing += len(misses)
	for _, m := range misses {
		s.oldest = max(s.oldest, m.Age)
		fmt.Printf("a reading misses %s, sequence %d, acknowledged %v before\n", m.ID, m.Seq, m.Age)
	}
	return nil
}

var bucket = load.Stream{Name: "KV_lab"}
