// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
)

// streamLimit is how many streams have metrics of their own; the others are told together, as account "" and stream "other".
const streamLimit = 100

// Kinds of repair.
const (
	repairStuck = "stuck-replica"
	repairStore = "store-error"
)

// metrics has a registry of its own, so that nothing which the process links adds to it.
type metrics struct {
	registry *prometheus.Registry

	repairs   *prometheus.CounterVec
	orders    *prometheus.CounterVec
	elections *prometheus.CounterVec
	requests  *prometheus.CounterVec

	mu sync.Mutex
	// terms are the latest terms by group, to count elections by.
	terms map[string]uint64
}

// sources are what a scrape reads. All may be called at any time.
type sources struct {
	build   buildInfo
	health  *health
	space   *space
	phase   func() string
	server  func() *embeddednats.Server
	files   map[string]*busauth.Files // certificates by use; empty without TLS
	members *members                  // nil on an open node
	secrets *routeSecrets             // nil without any
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), terms: map[string]uint64{}}
	m.repairs = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unibus_repairs_total",
		Help: "Restarts of the embedded server within the process, by cause."}, []string{"cause"})
	m.orders = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unibus_orders_total",
		Help: "Orders that came in, by what was answered: accepted or refused."}, []string{"result"})
	m.elections = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unibus_raft_elections_total",
		Help: "New terms of Raft groups that this node is a member of; planned hand-overs count as well."}, []string{"kind"})
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unibus_api_requests_total",
		Help: "Requests to the HTTP API that were answered. What is at no path, or not with that method, is other."}, []string{"method", "route", "status"})
	for _, cause := range []string{repairStuck, repairStore} {
		m.repairs.WithLabelValues(cause)
	}
	for _, result := range []string{"accepted", "refused"} {
		m.orders.WithLabelValues(result)
	}
	for _, kind := range []string{"meta", "stream", "consumer"} {
		m.elections.WithLabelValues(kind)
	}
	m.registry.MustRegister(m.repairs, m.orders, m.elections, m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// serve adds what is read at each scrape.
func (m *metrics) serve(s sources) { m.registry.MustRegister(&scrape{s}) }

func (m *metrics) repaired(cause string) { m.repairs.WithLabelValues(cause).Inc() }

func (m *metrics) ordered(accepted bool) {
	result := "refused"
	if accepted {
		result = "accepted"
	}
	m.orders.WithLabelValues(result).Inc()
}

func (m *metrics) answered(method, route string, status int) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
}

// look counts the elections since the look before. A group that is new is not an election.
func (m *metrics) look(p picture) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]uint64, len(p.Own))
	for g, w := range p.Own {
		next[g] = w.Term
		if before, ok := m.terms[g]; ok && w.Term > before {
			m.elections.WithLabelValues(kindOf(g)).Add(float64(w.Term - before))
		}
	}
	m.terms = next
}

func kindOf(group string) string {
	switch {
	case group == metaGroup:
		return "meta"
	case strings.HasPrefix(group, "C-"):
		return "consumer"
	}
	return "stream"
}

// stream is what is told of one stream's replica on this node.
type streamMetric struct {
	account, stream string
	lag             uint64
	known, leads    bool
	last            uint64
}

// streamMetrics returns at most streamLimit streams and, if there are more, the worst of the others as one.
func streamMetrics(p picture) []streamMetric {
	var out []streamMetric
	rest := streamMetric{stream: "other", known: true, leads: true}
	groups := sortedKeys(p.OwnLast)
	for _, g := range groups {
		account, stream, _ := strings.Cut(p.Streams[g], " > ")
		m := streamMetric{account: account, stream: stream, known: true, leads: true, last: p.OwnLast[g]} // the only replica
		if _, replicated := p.Own[g]; replicated {
			m.lag, m.known = p.lag(g)
			leader, _ := p.leader(g)
			m.leads = leader == p.Self
		}
		if len(out) < streamLimit {
			out = append(out, m)
			continue
		}
		rest.lag, rest.known, rest.leads = max(rest.lag, m.lag), rest.known && m.known, rest.leads && m.leads
		rest.last = max(rest.last, m.last)
	}
	if len(groups) > streamLimit {
		out = append(out, rest)
	}
	return out
}
