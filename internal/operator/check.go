// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/controllers"
)

// patience is how long an operator may take to begin: one that was not ended in order holds the lease for 15 seconds.
const patience = time.Minute

// check says what is missing for clusters to be looked after.
func check(ctx context.Context, s settings) error {
	kubernetes, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("find Kubernetes: %w", err)
	}
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	api, err := client.New(kubernetes, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("reach Kubernetes: %w", err)
	}
	for _, need := range []struct {
		kind   schema.GroupVersionKind
		remedy string
	}{
		{v1alpha1.GroupVersion.WithKind("UnibusCluster"), "install the chart with crds.install=true, or apply config/crd"},
		{schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}, "install cert-manager: https://cert-manager.io/docs/installation"},
	} {
		if _, err := api.RESTMapper().RESTMapping(need.kind.GroupKind(), need.kind.Version); err != nil {
			return fmt.Errorf("the API server has no %s of %s: %s: %w", need.kind.Kind, need.kind.GroupVersion(), need.remedy, err)
		}
	}
	var why error
	if err := wait.PollUntilContextTimeout(ctx, time.Second, patience, true, func(ctx context.Context) (bool, error) {
		why = working(ctx, api, s.leases())
		return why == nil, nil
	}); err != nil {
		return errors.Join(err, why)
	}
	return nil
}

// working says why no operator is at work.
func working(ctx context.Context, api client.Client, namespace string) error {
	var held coordinationv1.Lease
	if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: lease}, &held); err != nil {
		return fmt.Errorf("look who leads: %w", err)
	}
	holder, seconds, renewed := held.Spec.HolderIdentity, held.Spec.LeaseDurationSeconds, held.Spec.RenewTime
	if holder == nil || *holder == "" || seconds == nil || renewed == nil || time.Since(renewed.Time) > time.Duration(*seconds)*time.Second {
		return fmt.Errorf("no operator holds the lease %s in namespace %s: kubectl logs of its pods tells why", lease, namespace)
	}
	return nil
}
