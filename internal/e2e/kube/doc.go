// SPDX-License-Identifier: Apache-2.0

// Package kube holds the tests of the operator and its nodes on a real Kubernetes, one that devcluster has brought up: chart, images,
// kubelets, volumes and certificates as users have them. make e2e-short brings the cluster up, runs them and takes it down; without it they
// are skipped.
package kube
