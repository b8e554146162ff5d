// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unibus/unibus/api/v1alpha1"
)

// obstacle is why a pass can't go on. It is reported as a condition.
type obstacle struct {
	reason, message string
	// stalled is true when nothing goes on before a person acts.
	stalled bool
}

// Error implements error.
func (o *obstacle) Error() string { return o.reason + ": " + o.message }

// notOwned is returned for an object that has a name which the cluster needs and is not the cluster's.
func notOwned(kind, name string) *obstacle {
	return &obstacle{reason: v1alpha1.ReasonNotOwned, stalled: true,
		message: fmt.Sprintf("The %s %s is not this cluster's and has the name that it needs. Delete or rename it, or name the UnibusCluster otherwise.", kind, name)}
}

// refusal turns what the API server refuses for good into an obstacle, and leaves all else as it is.
func refusal(kind, name string, err error) error {
	var known *obstacle
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), meta.IsNoMatchError(err):
		return &obstacle{reason: v1alpha1.ReasonApplyRefused, stalled: true, message: fmt.Sprintf("%s %s: %v", kind, name, err)}
	}
	return fmt.Errorf("%s %s: %w", kind, name, err)
}
