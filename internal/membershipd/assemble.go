// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/daemonconfig"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/formation"
	"github.com/unibus/unibus/internal/membership"
)

// assemble makes a plan of a configuration that has passed its guard, and guards what only files show: secrets, keys and
// certificates. It opens nothing.
func assemble(c daemonconfig.Config, logTo io.Writer) (plan, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return plan{}, fmt.Errorf("--log-level: %w", err)
	}
	if c.NATSDebug {
		level = slog.LevelDebug // the server's debug lines would be dropped otherwise
	}
	p := plan{log: slog.New(logHandler(logTo, c.LogFormat, level)), patience: defaultPatience, http: c.Address(c.HTTPPort), control: c.Address(c.ControlPort),
		api: c.Address(c.APIPort), admins: c.Admins, operators: c.OperatorKeys, repair: c.SelfRepair}
	for _, key := range c.Admins {
		if _, err := v1.UserHex(key); err != nil {
			return plan{}, fmt.Errorf("--admin: %w", err)
		}
	}
	record := recorded(c.IdentityRecord, p.log)
	p.formation = formation.Config{StoreDir: c.StoreDir, ClusterName: c.ClusterName, ClusterID: c.ClusterID, ServerName: c.ServerName,
		Mode: formation.Mode(c.Formation), RouteURL: c.RouteURL(), StopTimeout: c.StopTimeout, ChangeTimers: c.ChangeRaftTimers,
		Denied:  func() []string { return record("removing", "removed") },
		Members: func() []string { return record("member", "leaving") }}
	if len(c.OrderKeys) > 0 {
		verify, err := busauth.VerifyOrderKeys(c.OrderKeys)
		if err != nil {
			return plan{}, fmt.Errorf("--order-key: %w", err)
		}
		p.formation.Verify = verify
	}
	p.server = embeddednats.ServerConfig{Host: c.Bind, Port: c.Port, Timers: timers(c.RaftTimers), SyncAlways: c.SyncAlways,
		SyncInterval: c.SyncInterval, Logger: p.log, Debug: c.NATSDebug,
		Limits: embeddednats.Limits{MaxPayload: int32(c.MaxPayload), MaxConnections: clients(c.MaxConnections, openFiles(), p.log), MaxPending: int64(c.MaxPending),
			MaxSubscriptions: c.MaxSubscriptions, StoreBytes: int64(c.StoreMaxBytes)}}
	if err := p.addCluster(c); err != nil {
		return plan{}, err
	}
	if err := p.addAuth(c); err != nil {
		return plan{}, err
	}
	return p, p.addTLS(c)
}

func timers(name string) embeddednats.RaftTimers {
	if name == daemonconfig.RaftTimersFast {
		return embeddednats.DefaultRaftTimers()
	}
	return embeddednats.RaftTimers{}
}

func (p *plan) addCluster(c daemonconfig.Config) error {
	secrets, err := newRouteSecrets(c.RouteSecrets, p.log)
	if err != nil {
		return err
	}
	p.server.Cluster = &embeddednats.ClusterConfig{Name: c.ClusterName, Host: c.Bind, Port: c.ClusterPort, Routes: c.RouteURLs()}
	if c.Advertise != "" && c.ClusterPort != 0 {
		p.server.Cluster.Advertise = net.JoinHostPort(c.Advertise, strconv.Itoa(c.ClusterPort))
	}
	if secrets != nil {
		// Each start of the server takes the secret as it is then.
		p.secrets, p.server.Cluster.User, p.server.Cluster.Password = secrets, c.ClusterUser, secrets.good.Dial
	}
	if secrets != nil && !c.Loopback() { // where whoever asks has shown a certificate
		p.formation.RouteSecrets = secrets.marks
	}
	return nil
}

// addAuth makes the node's own keys and says who else may connect.
func (p *plan) addAuth(c daemonconfig.Config) error {
	if c.Open {
		return nil
	}
	keys, err := busauth.NewKeys()
	if err != nil {
		return fmt.Errorf("make the node's keys: %w", err)
	}
	p.members, err = newMembers(busauth.Config{Keys: keys, Operators: c.OperatorKeys, UserConnections: ofOne(p.server.Limits.MaxConnections), Logger: p.log},
		membership.Config{RefuseAfter: c.CutOffRefuse}, c.CutOffDrop)
	if err != nil {
		return fmt.Errorf("--operator-key: %w", err)
	}
	p.server.Auth, p.server.Connect = p.members.auth, connectOptions(keys)
	return nil
}

// connectOptions are the credentials of the node's own connections.
func connectOptions(keys *busauth.Keys) func(account string) []nats.Option {
	return func(account string) []nats.Option {
		public, sign := keys.Login(account)
		return []nats.Option{nats.Nkey(public, sign)}
	}
}

// addTLS reads the certificates. Off loopback control needs those of the routes; on loopback it does without, so that a person
// at the machine can ask a node with curl. Orders are signed everywhere.
func (p *plan) addTLS(c daemonconfig.Config) error {
	p.files = map[string]*busauth.Files{}
	if c.RouteTLS() {
		files, err := busauth.NewFiles(busauth.FilesConfig{CertFile: c.RouteTLSCert, KeyFile: c.RouteTLSKey, CAFile: c.RouteTLSCA, Name: c.RouteTLSName, Logger: p.log})
		if err != nil {
			return fmt.Errorf("--route-tls-cert, --route-tls-key, --route-tls-ca: %w", err)
		}
		if err := files.CheckRoute(); err != nil {
			return fmt.Errorf("--route-tls-cert: %w", err)
		}
		p.server.Cluster.TLS = files.RouteConfig()
		p.files["route"] = files
		if !c.Loopback() {
			p.controlTLS = files.ServerConfig(true)
		}
	} else if !c.Loopback() {
		return errors.New("--route-tls-cert: the control endpoint must not be open off loopback without mutual TLS") // the guard was passed by
	}
	if c.ClientTLS() {
		files, err := busauth.NewFiles(busauth.FilesConfig{CertFile: c.TLSCert, KeyFile: c.TLSKey, Logger: p.log})
		if err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		if err := files.CheckServer(); err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
		p.server.TLS, p.apiTLS = files.ServerConfig(false), files.ServerConfig(false)
		p.files["client"] = files
	}
	return nil
}
