// SPDX-License-Identifier: Apache-2.0

// Command bench measures UniBus beside a stock nats-server of the same version, in one run on one machine: what else the
// machine does hits both.
//
//	bench [flags] throughput|starts|grow|failover|calm|pictures ...
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// program is one run of the bench.
type program struct {
	shop        *workshop
	least, most int // pairs
	rounds      int // of failovers
	starts      int // rounds of starts
	calmFor     time.Duration
	keys        int
	pictures    string
	grown       int // clusters that the command line has made
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	p := &program{}
	out := flag.String("json", ".cache/bench/{parts}.json", "file for the results")
	membershipd := flag.String("membershipd", "bin/membershipd", "our node")
	unibus := flag.String("unibus", "bin/unibus", "our command line")
	stock := flag.String("stock", "", "stock nats-server, built by make")
	keep := flag.Bool("keep", false, "keep the folder with stores and logs")
	flag.IntVar(&p.least, "least", 21, "least number of pairs")
	flag.IntVar(&p.most, "most", 121, "most pairs, if the interval stays wide")
	flag.IntVar(&p.rounds, "rounds", 15, "rounds of failovers")
	flag.IntVar(&p.starts, "starts", 9, "rounds of starts")
	flag.IntVar(&p.keys, "keys", 10_000, "keys in the bucket before it grows")
	flag.DurationVar(&p.calmFor, "calm", 10*time.Minute, "how long all cores are kept busy")
	flag.StringVar(&p.pictures, "pictures", "docs", "folder for the pictures")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if p.shop, err = newWorkshop(*stock, *membershipd, *unibus); err != nil {
		return err
	}
	var broken error // what was measured before is told all the same
	defer func() {
		if !*keep && broken == nil { // else its logs tell why
			p.shop.close()
		}
	}()
	r, err := newResults(p.shop.stock)
	if err != nil {
		return err
	}
	for _, part := range flag.Args() {
		slog.Info("begins", "part", part)
		if err := p.part(ctx, part, r); err != nil {
			broken = fmt.Errorf("%s: %w; logs are in %s", part, err, p.shop.dir)
			break
		}
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	path := strings.ReplaceAll(*out, "{parts}", strings.Join(flag.Args(), "-"))
	if err := r.write(path); err != nil {
		return err
	}
	fmt.Println("\nwritten to", filepath.Clean(path))
	switch {
	case broken != nil:
		return broken
	case !r.held():
		return errNotHeld
	}
	return nil
}

func (p *program) part(ctx context.Context, name string, r *results) (err error) {
	switch name {
	case "throughput":
		r.Throughput, err = p.throughput(ctx)
	case "starts":
		r.Starts, err = p.measureStarts(ctx)
	case "grow":
		r.Grow, err = p.grow(ctx)
	case "failover":
		r.Failovers, r.Nursed, err = p.failovers(ctx)
	case "calm":
		r.Calm, err = p.calm(ctx)
	case "pictures":
		err = p.draw(ctx)
	default:
		err = fmt.Errorf("there is no part %q", name)
	}
	return err
}
