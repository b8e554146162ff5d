// SPDX-License-Identifier: Apache-2.0

// Package operator is the composition root of unibus-operator: flags, log, leader election, probes and metrics around package controllers.
package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/controllers"
)

// Version of the operator, and of the nodes of clusters whose spec names none. It is set when the program is built.
var Version = "0.0.0"

// Exit codes.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitRefused = 2
)

// settings are what the flags say.
type settings struct {
	namespace, operatorNamespace, repository string
	labels                                   map[string]string
	leaderElection, check                    bool
	probes, metrics, level                   string
	grace                                    time.Duration
}

// lease is held by the operator that works.
const lease = "unibus-operator.unibus.dev"

// leases is the namespace of the lease: with clusters of one namespace theirs, so that whoever else is installed for it waits, wherever
// that one runs.
func (s settings) leases() string { return cmp.Or(s.namespace, s.operatorNamespace) }

func parse(args []string, out io.Writer) (s settings, err error) {
	f := pflag.NewFlagSet("unibus-operator", pflag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&s.namespace, "namespace", "", "namespace whose clusters are looked after; default: all")
	f.StringVar(&s.operatorNamespace, "operator-namespace", os.Getenv("POD_NAMESPACE"), "namespace in which the operator itself runs; default: what POD_NAMESPACE says")
	f.StringToStringVar(&s.labels, "operator-labels", map[string]string{v1alpha1.LabelName: v1alpha1.LabelManagedByValue},
		"labels of the operator's pods, which alone may reach the control endpoint of nodes")
	f.StringVar(&s.repository, "node-image", "unibus/membershipd", "image of nodes without its tag, which is the version")
	f.BoolVar(&s.leaderElection, "leader-election", true, "work only while no other operator does")
	f.StringVar(&s.probes, "probe-address", ":8081", "where /healthz and /readyz are served; 0 for nowhere")
	f.StringVar(&s.metrics, "metrics-address", "0", "where /metrics is served over HTTPS, to whom the API server knows and lets get it; 0 for nowhere")
	f.StringVar(&s.level, "log-level", "info", "least level that is logged: debug, info, warn or error")
	f.DurationVar(&s.grace, "client-ca-grace", controllers.DefaultGrace,
		"how long clients are told a new CA before nodes present certificates of it, and the old one after that: as long as they may take to read it")
	f.BoolVar(&s.check, "check", false, "say whether an operator of that namespace is at work and has what it needs, and end")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("%q is no flag; see --help", f.Arg(0))
	case s.operatorNamespace == "":
		return s, errors.New("--operator-namespace is needed, or POD_NAMESPACE in the environment")
	case s.grace <= 0:
		return s, fmt.Errorf("--client-ca-grace is %v: clients need some time to read a new CA, 1m at least where they mount it", s.grace)
	case len(s.labels) == 0:
		return s, errors.New("--operator-labels must name at least one label, or the control endpoint would be open to a whole namespace")
	}
	return s, nil
}

// Main runs the operator until it is told to stop, and returns the exit code.
func Main(args []string, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return ExitOK
	}
	var level slog.Level
	if err == nil {
		err = level.UnmarshalText([]byte(s.level))
	}
	if err != nil {
		fmt.Fprintln(stderr, "unibus-operator:", err)
		return ExitRefused
	}
	log.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := run
	if s.check {
		do = check
	}
	if err := do(ctx, s); err != nil {
		fmt.Fprintln(stderr, "unibus-operator:", err)
		return ExitFailed
	}
	return ExitOK
}

func run(ctx context.Context, s settings) error {
	kubernetes, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("find Kubernetes: %w", err)
	}
	kubernetes.QPS = -1 // the API server's own priorities are enough
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	options := manager.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(), HealthProbeBindAddress: s.probes,
		Metrics:        metricsserver.Options{BindAddress: s.metrics, SecureServing: true, FilterProvider: filters.WithAuthenticationAndAuthorization},
		LeaderElection: s.leaderElection, LeaderElectionID: lease, LeaderElectionNamespace: s.leases(),
		// The process ends right after the manager: nobody acts once the lead is given up.
		LeaderElectionReleaseOnCancel: true,
	}
	if s.namespace != "" {
		options.Cache.DefaultNamespaces = map[string]cache.Config{s.namespace: {}}
	}
	m, err := manager.New(kubernetes, options)
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	r := &controllers.Reconciler{Options: controllers.Options{
		Repository: s.repository, Version: Version, Namespace: s.operatorNamespace, Labels: s.labels, Grace: s.grace,
	}}
	if err := r.SetupWithManager(m); err != nil {
		return err
	}
	if err := errors.Join(m.AddHealthzCheck("ping", healthz.Ping), m.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("add probes: %w", err)
	}
	defer r.Close() // when no pass is under way any more
	return m.Start(ctx)
}
