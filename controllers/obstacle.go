// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// obstacle is why a pass can't go on. It is reported as a condition.
type obstacle struct {
	reason, message string
	// stalled is true when nothing goes on before a person acts.
	stalled bool
	// failed is the error of which it was made, nil for what was looked for and found. The pass has not come as far as to see all.
	failed error
}

// Error implements error.
func (o *obstacle) Error() string { return o.reason + ": " + o.message }

// notOwned is returned for an object that has a name which the cluster needs and is not the cluster's.
func notOwned(kind, name string) *obstacle {
	return &obstacle{reason: v1alpha1.ReasonNotOwned, stalled: true,
		message: fmt.Sprintf("The %s %s is not this cluster's and has the name that it needs. Delete or rename it, or name the UnibusCluster otherwise.", kind, name)}
}

// failure is the obstacle that an error is which no pass looks for.
func failure(err error) *obstacle {
	if forGood(err) {
		return &obstacle{reason: v1alpha1.ReasonApplyRefused, stalled: true, message: err.Error(), failed: err}
	}
	return &obstacle{reason: v1alpha1.ReasonReconcileError, failed: err,
		message: fmt.Sprintf("%v. The operator tries again, every %v at the latest.", err, latest)}
}

// forGood says whether the API server refuses something whenever it is asked.
func forGood(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || meta.IsNoMatchError(err)
}

// numbers are what differs between two tellings of the same failure: the port that a connection came from, the time of a clock.
var numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// steady gives a failure the words in which the same one was told before, so that it is told once.
func (o *obstacle) steady(before []metav1.Condition) {
	told := meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	if told != nil && told.Reason == o.reason && numbers.ReplaceAllString(told.Message, "") == numbers.ReplaceAllString(o.message, "") {
		o.message = told.Message
	}
}

// refusal turns what the API server refuses for good into an obstacle, and leaves all else as it is.
func refusal(kind, name string, err error) error {
	var known *obstacle
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case forGood(err):
		return &obstacle{reason: v1alpha1.ReasonApplyRefused, stalled: true, message: fmt.Sprintf("%s %s: %v", kind, name, err)}
	}
	return fmt.Errorf("%s %s: %w", kind, name, err)
}
