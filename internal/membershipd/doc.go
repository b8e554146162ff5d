// SPDX-License-Identifier: Apache-2.0

// Package membershipd is the composition root of the node: it reads the configuration, opens the disk, binds the control and
// HTTP ports, lets internal/formation bring NATS up, opens the membership buckets, watches the node's health, repairs what can
// be repaired from within, and stops in order.
//
// # HTTP endpoints
//
// All answer with a JSON [Answer]; the status is 200 when Answer.OK, else 503.
//
//   - /livez: the process turns. Never about quorum, disk or orders; do restart a node that fails it.
//   - /readyz: clients are welcome. After each start of NATS only once the node is in sync by its own HEALTHZ and by its
//     leaders' word, held over three looks; from then on it does not follow lag or a lost quorum. It is taken back by a stop, a
//     replica that is stuck, a store that can't be written, and a repair.
//   - /healthz: everything is well now: routes to a quorum, every replica in sync or moving. Once it has said 503 it
//     needs three good looks in a row, so that a replica which fails again and again is not called healthy in between.
//   - /safe-to-restart: another node may be restarted: every group has its leader and all its replicas, by two witnesses, in
//     four looks within a second, which is how long the answer takes.
//   - /metrics: Prometheus.
//
// # Exit codes
//
//   - 0: stopped by a signal, everything handed over and closed.
//   - 1: failed while running; the log says why.
//   - 2: the configuration, the disk or a port was refused before anything was started.
//   - 3: ended by a second signal, without handing over.
package membershipd
