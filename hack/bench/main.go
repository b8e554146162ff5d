// SPDX-License-Identifier: Apache-2.0

// Command bench measures UniBus beside a stock nats-server of the same version, in one run on one machine: what else the
// machine does hits both.
//
//	bench [flags] part ...
//
// bench -h lists the parts.
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
	users       int
	removals    int
	pictures    string
	natsCLI     string
	grown       int // clusters that the command line has made
}

func main() {
	do := run
	if len(os.Args) == 3 && os.Args[1] == workerPart {
		do = func() error { return work(os.Args[2]) }
	}
	if err := do(); err != nil {
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
	flag.StringVar(&p.natsCLI, "nats", ".cache/clients/nats", "command line of NATS, built by make")
	flag.IntVar(&p.users, "users", 10_000, "users, and rooms, where many are measured beside few, and connections of the storm")
	flag.IntVar(&p.removals, "removals", 200, "removals of each kind")
	flag.Usage = usage
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

// parts are what can be measured.
var parts = []struct {
	name, what string
	run        func(p *program, ctx context.Context, r *results) error
}{
	{"throughput", "messages per second, beside stock", func(p *program, ctx context.Context, r *results) (err error) {
		r.Throughput, err = p.throughput(ctx)
		return err
	}},
	{"starts", "time until a key is written, beside stock", func(p *program, ctx context.Context, r *results) (err error) {
		r.Starts, err = p.measureStarts(ctx)
		return err
	}},
	{"grow", "one node becomes three under writes", func(p *program, ctx context.Context, r *results) (err error) {
		r.Grow, err = p.grow(ctx)
		return err
	}},
	{"restore", "one stock node becomes three as it must: backup, new servers, restore", func(p *program, ctx context.Context, r *results) (err error) {
		r.Restore, err = p.restore(ctx)
		return err
	}},
	{"failover", "gaps that kills and planned stops leave, beside stock", func(p *program, ctx context.Context, r *results) (err error) {
		r.Failovers, r.Nursed, err = p.failovers(ctx)
		return err
	}},
	{"calm", "elections with every core busy and nothing failing", func(p *program, ctx context.Context, r *results) (err error) {
		r.Calm, err = p.calm(ctx)
		return err
	}},
	{"revoke", "time until a removed user's connections are gone on three nodes, quiet and in a flood", func(p *program, ctx context.Context, r *results) (err error) {
		r.Revocations, err = p.revocations(ctx)
		return err
	}},
	{"logins", "connections per second with many users and with few, and beside static nkeys in stock", func(p *program, ctx context.Context, r *results) (err error) {
		r.Logins, err = p.logins(ctx)
		return err
	}},
	{"history", "appends and pages of history, beside a raw stream in stock", func(p *program, ctx context.Context, r *results) (err error) {
		r.History, err = p.history(ctx)
		return err
	}},
	{"client", "what our client library costs, beside nats.go", func(p *program, ctx context.Context, r *results) (err error) {
		r.Client, err = p.client(ctx)
		return err
	}},
	{"memory", "what a user, a room, a member and a connection take; start and Raft groups with many rooms", func(p *program, ctx context.Context, r *results) (err error) {
		r.Memory, err = p.memory(ctx)
		return err
	}},
	{"storm", "bystanders, who talk and append, while 10,000 clients come back from a killed node", func(p *program, ctx context.Context, r *results) error {
		return r.addStorm(p.storm(ctx))
	}},
	{"flood", "bystanders, who talk and append, beside a flood of both and a slow consumer", func(p *program, ctx context.Context, r *results) error {
		return r.addStorm(p.floods(ctx))
	}},
	{"pictures", "draw a grow and a failover", func(p *program, ctx context.Context, _ *results) error { return p.draw(ctx) }},
}

func (p *program) part(ctx context.Context, name string, r *results) error {
	for _, t := range parts {
		if t.name == name {
			return t.run(p, ctx, r)
		}
	}
	return fmt.Errorf("there is no part %q; -h lists them", name)
}

func usage() {
	out := flag.CommandLine.Output()
	fmt.Fprintln(out, "bench [flags] part ...\n\nParts:")
	for _, t := range parts {
		fmt.Fprintf(out, "  %-12s%s\n", t.name, t.what)
	}
	fmt.Fprintln(out, "\nFlags:")
	flag.PrintDefaults()
}
