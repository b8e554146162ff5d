// SPDX-License-Identifier: Apache-2.0

// Package controllers brings clusters on Kubernetes to what their UnibusCluster wishes.
//
// A pass observes everything once and live, applies the objects that package manifests tells, has package scaling decide on one step,
// carries that out, and reports. It waits for nothing: what is to come is looked for in the next pass. A pass may end at any point, and
// the next one, of another operator perhaps, begins anew: each write is made against the version that was read, or may be repeated.
// A pass that finds all as it should be writes nothing.
//
// Nodes and JetStream are reached at the addresses of the pods, those that the headless Service publishes, so that no cache of DNS stands
// between a pod that has just come and the operator. Who is reached is proven by certificates, whatever the address.
package controllers
