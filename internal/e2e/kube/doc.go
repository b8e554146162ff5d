// SPDX-License-Identifier: Apache-2.0

// Package kube tries the operator and its nodes on a real Kubernetes: chart, images, kubelets, volumes and certificates as users have them.
// Its tests need one that devcluster has brought up: make e2e-short does that, runs them and takes it down; without it they are skipped. The
// first of them is also what make demo shows.
package kube
