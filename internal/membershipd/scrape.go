// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	v1 "github.com/unibus/unibus/api/membership/v1"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// scrape reads everything anew at each scrape, so that no figure is older than it looks.
type scrape struct{ sources }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("unibus_"+name, help, labels, nil)
}

var (
	descBuild       = desc("build_info", "What runs; the value is 1.", "version", "revision", "go", "nats")
	descPhase       = desc("node_phase", "1 for the phase that the node is in.", "phase")
	descReady       = desc("node_ready", "1 when /readyz says 200.")
	descHealthy     = desc("node_healthy", "1 when /healthz says 200.")
	descFree        = desc("store_volume_free_bytes", "What the store's volume has free.")
	descTotal       = desc("store_volume_bytes", "The size of the store's volume.")
	descExpiry      = desc("certificate_expiry_timestamp_seconds", "When a certificate in use expires.", "use")
	descUsable      = desc("certificate_files_usable", "0 while the files can't be used as they are (half rotated, cut off, gone): what was last good stays in force.", "use")
	descSecrets     = desc("route_secret_files_usable", "0 while the files of route secrets can't be used as they are: what they last had stays in force, and NATS would go on with it until the process ends.")
	descRefused     = desc("tls_peers_refused_total", "Peers that were refused in a TLS handshake, by use (route is control's as well) and reason: their certificate, or too many clients at once.", "use", "reason")
	descLogins      = desc("logins_total", "Connections by what authentication said; too-many is a user who has as many as one may.", "verdict")
	descAdmits      = desc("directory_ready", "1 when users are admitted: all users and rooms are known, and the node is not cut off from changes.")
	descAge         = desc("directory_age_seconds", "How long ago it was last proven that no change of users and rooms was missed.")
	descUsers       = desc("directory_users", "Users on the allowlist.")
	descRooms       = desc("directory_rooms", "Rooms, those being deleted included.")
	descInRooms     = desc("directory_members", "Users in rooms, counted once for each room.")
	descBad         = desc("directory_bad_records", "Records that can't be believed, and are ignored.")
	descRequests    = desc("room_requests_total", "Requests of users since the server was started, by service (append, history or rooms) and outcome.", "service", "outcome")
	descInFlight    = desc("room_appends_in_flight", "About how many appends wait for their acknowledgement.")
	descAPIConns    = desc("api_connections", "Connections to the HTTP API that are open.")
	descFollowers   = desc("api_followers", "Requests that follow a room.")
	descConnections = desc("server_connections", "Client connections that are open.")
	descAccepted    = desc("server_connections_total", "Client connections since the server was started.")
	descSubs        = desc("server_subscriptions", "Subscriptions.")
	descRoutes      = desc("server_routes", "Servers that a route stands to.")
	descSlow        = desc("server_slow_consumers_total", "Clients dropped for not reading fast enough.")
	descMsgs        = desc("server_messages_total", "Messages by direction, routes included.", "direction")
	descBytes       = desc("server_bytes_total", "Bytes by direction, routes included.", "direction")
	descEnabled     = desc("jetstream_enabled", "1 when JetStream is on.")
	descStored      = desc("jetstream_stored_bytes", "What all streams on this node hold.")
	descReserved    = desc("jetstream_reserved_bytes", "What streams on this node may hold by their limits.")
	descLimit       = desc("jetstream_store_limit_bytes", "What all streams on this node may hold together.")
	descStreams     = desc("jetstream_streams", "Streams with a replica on this node.")
	descConsumers   = desc("jetstream_consumers", "Consumers with a replica on this node.")
	descMessages    = desc("jetstream_messages", "Messages that streams on this node hold.")
	descAPI         = desc("jetstream_api_requests_total", "JetStream API requests.")
	descAPIErrors   = desc("jetstream_api_errors_total", "JetStream API requests answered with an error.")
	descMembers     = desc("meta_members", "Members of the meta group as this node sees it.")
	descMetaLeader  = desc("meta_leader", "1 when this node leads the meta group.")
	descMetaKnown   = desc("meta_leader_known", "1 when this node knows a leader of the meta group.")
	descLag         = desc("stream_replica_lag", "How far this node's replica is behind its leader; absent while no leader answers.", "account", "stream")
	descLeads       = desc("stream_leader", "1 when this node leads the stream.", "account", "stream")
	descLast        = desc("stream_last_sequence", "The last sequence of this node's replica.", "account", "stream")
)

// Describe implements prometheus.Collector. It sends none: what there is depends on what runs.
func (s *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *scrape) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descBuild, 1, s.build.Version, s.build.Revision, s.build.Go, server.VERSION)
	phase := s.phase()
	for _, p := range []v1.NodePhase{v1.NodeWaiting, v1.NodeStarting, v1.NodeRunning, v1.NodeRepairing, v1.NodeStopping} {
		gauge(descPhase, one(phase == string(p)), string(p))
	}
	ready, _ := s.health.readyz()
	healthy, _ := s.health.healthz()
	gauge(descReady, one(ready))
	gauge(descHealthy, one(healthy))
	if v, err := s.space.volume(s.space.dir); err == nil {
		gauge(descFree, float64(v.Free))
		gauge(descTotal, float64(v.Total))
	}
	for use, files := range s.files {
		leaf, ca := files.Expiry()
		gauge(descExpiry, float64(leaf.Unix()), use)
		if !ca.IsZero() {
			gauge(descExpiry, float64(ca.Unix()), use+"-ca")
		}
		gauge(descUsable, one(files.Problem() == nil), use)
		for reason, n := range files.Refused() {
			out <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(n), use, reason)
		}
	}
	if s.secrets != nil {
		gauge(descSecrets, one(s.secrets.usable()))
	}
	s.collectMembers(out)
	s.collectServer(out)
	s.collectGroups(out)
}

// collectMembers tells of users and of what they ask for; nothing on an open node.
func (s *scrape) collectMembers(out chan<- prometheus.Metric) {
	if s.members == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	for verdict, n := range s.members.auth.Counts() {
		out <- prometheus.MustNewConstMetric(descLogins, prometheus.CounterValue, float64(n), verdict)
	}
	d := s.members.directory.State()
	gauge(descAdmits, one(d.Ready))
	gauge(descAge, d.Age.Seconds())
	gauge(descUsers, float64(d.Users))
	gauge(descRooms, float64(d.Rooms))
	gauge(descInRooms, float64(d.Members))
	gauge(descBad, float64(d.Bad))
	if api := s.members.door.api; api != nil {
		c := api.Counts()
		gauge(descAPIConns, float64(c.Connections))
		gauge(descFollowers, float64(c.Followers))
	}
	service := s.members.service.Load()
	if service == nil {
		return
	}
	c := service.Counts()
	gauge(descInFlight, float64(c.InFlight))
	for name, outcomes := range c.Requests {
		for outcome, n := range outcomes {
			out <- prometheus.MustNewConstMetric(descRequests, prometheus.CounterValue, float64(n), name, outcome)
		}
	}
}

// collectServer tells of the embedded server; nothing while none runs.
func (s *scrape) collectServer(out chan<- prometheus.Metric) {
	embedded := s.server()
	if embedded == nil {
		return
	}
	v, err := embedded.Unwrap().Varz(nil)
	if err != nil {
		return
	}
	send := func(t prometheus.ValueType, d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	send(gauge, descConnections, float64(v.Connections))
	send(counter, descAccepted, float64(v.TotalConnections))
	send(gauge, descSubs, float64(v.Subscriptions))
	send(counter, descSlow, float64(v.SlowConsumers))
	send(counter, descMsgs, float64(v.InMsgs), "in")
	send(counter, descMsgs, float64(v.OutMsgs), "out")
	send(counter, descBytes, float64(v.InBytes), "in")
	send(counter, descBytes, float64(v.OutBytes), "out")
	j, err := embedded.Unwrap().Jsz(nil)
	if err != nil {
		return
	}
	send(gauge, descEnabled, one(!j.Disabled))
	if j.Disabled {
		return
	}
	send(gauge, descStored, float64(j.Store))
	send(gauge, descReserved, float64(j.ReservedStore))
	send(gauge, descLimit, float64(j.Config.MaxStore))
	send(gauge, descStreams, float64(j.Streams))
	send(gauge, descConsumers, float64(j.Consumers))
	send(gauge, descMessages, float64(j.Messages))
	send(counter, descAPI, float64(j.API.Total))
	send(counter, descAPIErrors, float64(j.API.Errors))
}

// collectGroups tells of the latest look; nothing before the first.
func (s *scrape) collectGroups(out chan<- prometheus.Metric) {
	p := s.health.last()
	if p.Self == "" {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descRoutes, float64(len(p.Routes)))
	gauge(descMembers, float64(len(p.Members)))
	gauge(descMetaLeader, one(p.MetaLeader == p.Self))
	gauge(descMetaKnown, one(p.MetaLeader != ""))
	for _, m := range streamMetrics(p) {
		if m.known {
			gauge(descLag, float64(m.lag), m.account, m.stream)
		}
		gauge(descLeads, one(m.leads), m.account, m.stream)
		gauge(descLast, float64(m.last), m.account, m.stream)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
