// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"   // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"         // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned" // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"           // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"        // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"           // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"         // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"    // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"   // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"           // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"                 // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"                        // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"                                 // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"                         // registers itself
)

// certManager runs the controllers of cert-manager for issuers that are a CA or sign themselves, which is what can be
// had without a network. Its own main belongs to a module that no proxy has.
func certManager() {
	// Packages that are linked have flags of their own in the set that is everybody's.
	flags := flag.NewFlagSet("cert-manager", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	listen := flags.String("listen", "127.0.0.1:9402", "where /healthz says that the controllers work")
	_ = flags.Parse(os.Args[1:]) // it exits on an error
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:    *kubeconfig,
		IssuerOptions: controller.IssuerOptions{ClusterResourceNamespace: "cert-manager"},
		// Retries of minutes, not of hours: a test that broke an issuer wants to see it heal.
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: time.Minute,
			CertificateRequestMaximumBackoffDuration: 10 * time.Minute,
		},
	})
	if err != nil {
		fail(err)
	}
	var running sync.WaitGroup
	for name, construct := range controller.Known() {
		loop, err := construct(factory)
		if err != nil {
			fail(fmt.Errorf("controller %s: %w", name, err))
		}
		running.Go(func() {
			if err := loop.Run(5, ctx); err != nil {
				fail(fmt.Errorf("controller %s: %w", name, err))
			}
		})
	}
	shared, err := factory.Build()
	if err != nil {
		fail(err)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	go serve(*listen, shared)
	running.Wait()
}

// serve answers once the controllers have seen all there is.
func serve(address string, shared *controller.Context) {
	shared.SharedInformerFactory.WaitForCacheSync(shared.RootContext.Done())
	shared.KubeSharedInformerFactory.WaitForCacheSync(shared.RootContext.Done())
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	fail(http.ListenAndServe(address, nil))
}
