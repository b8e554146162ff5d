// SPDX-License-Identifier: Apache-2.0

// Command demo shows on a real Kubernetes what UniBus is for: a bus of one node that becomes three, in place, while it is written to, and
// loses nothing. make demo brings the Kubernetes up and runs it. Each step is a line with the time since the beginning and its own. The
// last line is
//
//	demo: ok, acknowledged N, lost 0, longest gap N ms, pods restarted N
//
// and otherwise it says why not, and the exit status is 1, 130 if it was interrupted, or 2 if it was used wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/unibus/unibus/internal/e2e/kube"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, notes io.Writer) int {
	o, err := parse(args, notes)
	if err != nil {
		fmt.Fprintln(notes, "demo:", err)
		return 2
	}
	place, down := o.place, o.down
	film := newRecorder(out, "make demo")
	out = film
	s := &stage{ctx: ctx, out: out}
	var sum kube.Sum
	whole := s.play(func() {
		kube.Clear(s, place)
		if !down {
			sum = kube.Demo(s, place)
		}
	})
	again := ""
	if place.Devcluster == "" {
		again = " CLUSTER=current"
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(notes, "demo: interrupted; make demo%s begins anew, make demo-down%[1]s removes what there is\n", again)
		return 130
	case !whole || s.failed.Load():
		fmt.Fprintf(notes, "demo: failed; kubectl describe -n %s ubc/demo may tell more, make demo-down%s removes what there is\n", place.Namespace, again)
		return 1
	case down:
		return 0
	}
	last := fmt.Sprintf("demo: ok, acknowledged %d, lost %d, longest gap %d ms, pods restarted %d", sum.Acknowledged, sum.Lost, sum.Gap.Milliseconds(), sum.Restarted)
	if o.record != "" {
		if err := film.save(o.record, last); err != nil {
			fmt.Fprintln(notes, "demo: the recording:", err)
			return 1
		}
	}
	fmt.Fprintf(film.out, "To look around: export PATH=%s:$PATH, then kubectl get -n %s ubc,pods; make demo-down%s removes it all\n", place.Dir, place.Namespace, again)
	fmt.Fprintln(film.out, last)
	return 0
}

// options are what the flags say.
type options struct {
	place  kube.Place
	down   bool
	record string // file, empty for none
}

// parse returns the place of the demo, with a folder for keys and the like that has unibus.
func parse(args []string, notes io.Writer) (o options, err error) {
	// Names that nobody else's operator has.
	o.place = kube.Place{Namespace: "unibus-demo", Operators: "unibus-demo-operator"}
	p := &o.place
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(notes)
	f.StringVar(&p.Devcluster, "devcluster", "", "name of the devcluster that has the images; without it kubectl's current context is used")
	f.StringVar(&p.Images, "images", "", "registry and prefix of the images, as make images PUSH= got them")
	f.StringVar(&p.Version, "version", "", "tag of the images")
	f.StringVar(&o.record, "record", "", "file for a recording of a demo that went well, an SVG")
	f.BoolVar(&o.down, "down", false, "remove what a demo has made")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", f.Arg(0))
	case !o.down && (p.Images == "" || p.Version == ""):
		return o, errors.New("images are needed that the Kubernetes can pull: make images PUSH=registry/prefix, then make demo CLUSTER=current IMAGES=registry/prefix")
	}
	for _, program := range []string{"kubectl", "helm"} { // devcluster has its own
		if _, err := exec.LookPath(program); err != nil && p.Devcluster == "" {
			return o, fmt.Errorf("kubectl's current context is used by kubectl and helm: install %s, or put it on the PATH", program)
		}
	}
	if p.Root, err = os.Getwd(); err != nil {
		return o, err
	}
	p.Dir = filepath.Join(p.Root, "bin", "demo")
	for _, file := range []string{"contexts.json", "admin.nk", "ann.nk", "bob.nk", "writer.nk"} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(p.Dir, file)))
	}
	return o, errors.Join(err, os.MkdirAll(p.Dir, 0o700))
}

// stage is where the demo is played.
type stage struct {
	ctx    context.Context
	out    io.Writer
	failed atomic.Bool
}

// play says whether it came to its end.
func (s *stage) play(scene func()) (whole bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		scene()
		whole = true
	}()
	<-ended
	return whole
}

// Context ends when the demo is interrupted.
func (s *stage) Context() context.Context { return s.ctx }

// Helper does nothing.
func (s *stage) Helper() {}

// Error tells what is wrong, once for whoever has interrupted it.
func (s *stage) Error(args ...any) {
	s.failed.Store(true)
	if s.ctx.Err() == nil {
		fmt.Fprintln(s.out, args...)
	}
}

// Errorf is Error with a format.
func (s *stage) Errorf(format string, args ...any) { s.Error(fmt.Sprintf(format, args...)) }

// Fatal is Error, and ends the scene.
func (s *stage) Fatal(args ...any) {
	s.Error(args...)
	runtime.Goexit()
}

// Fatalf is Fatal with a format.
func (s *stage) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// Logf tells how the demo goes.
func (s *stage) Logf(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
