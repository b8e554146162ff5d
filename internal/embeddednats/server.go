// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

var errSkeleton = errors.New("embeddednats: this build has no server yet")

// Server is a running embedded server. Its methods may be called by several goroutines.
type Server struct {
	ns *server.Server
}

// Start starts a server and returns when clients can connect; JetStream may take longer, or for ever:
// see Found, Resume and Join.
func Start(ctx context.Context, cfg ServerConfig) (*Server, error) { return nil, errSkeleton }

// Found makes an empty store that of a cluster of one. Killed at any point and called again it finishes.
func Found(ctx context.Context, cfg ServerConfig) (*Server, error) { return nil, errSkeleton }

// Resume starts a server with what its store holds, and helps it as long as it is alone.
// It returns when clients can connect.
func Resume(ctx context.Context, cfg ServerConfig) (*Server, error) { return nil, errSkeleton }

// Join starts a server whose routes must include the node itself (ErrNotInRoutes).
func Join(ctx context.Context, cfg ServerConfig) (*Server, error) { return nil, errSkeleton }

// Probe starts a server without JetStream, to look around.
func Probe(ctx context.Context, cfg ServerConfig) (*Server, error) { return nil, errSkeleton }

// Unwrap returns the nats-server within.
func (s *Server) Unwrap() *server.Server { return s.ns }

// Name is the server's name.
func (s *Server) Name() string { return s.ns.Name() }

// ClientURL is where clients connect.
func (s *Server) ClientURL() string { return s.ns.ClientURL() }

// RouteURL is where other servers connect, empty without a cluster.
func (s *Server) RouteURL() string { return "" }

// InProcess connects to an account without the network. The caller closes the connection.
func (s *Server) InProcess(account string) (*nats.Conn, error) { return nil, errSkeleton }

// Meta is this server's own view of the meta group, ok false if it has none.
// Members are server names, sorted; one that was never seen by this server is told by its id.
func (s *Server) Meta() (leader string, size int, members []string, ok bool) {
	return "", 0, nil, false
}

// Removed says whether the server was removed from the meta group since it was started.
func (s *Server) Removed() bool { return false }

// ServerInfo is what a server tells of itself.
type ServerInfo struct {
	Name      string
	ID        string
	Cluster   string
	Version   string
	Tags      []string
	JetStream bool
}

// Tag returns what follows the prefix in the first tag that has it.
func (i ServerInfo) Tag(prefix string) (string, bool) { return "", false }

// Servers asks all servers that this one has routes to, and itself, for the time of wait at most.
func (s *Server) Servers(ctx context.Context) ([]ServerInfo, error) { return nil, errSkeleton }

// MetaGroup is the meta group as its leader sees it.
type MetaGroup struct {
	Leader   ServerInfo
	Size     int
	Replicas []MetaReplica
}

// MetaReplica is a member of the meta group other than the leader.
type MetaReplica struct {
	Name    string
	Peer    string
	Current bool
	Offline bool
	Active  time.Duration
	Lag     uint64
}

// ErrNoMetaLeader means that no server said it leads the meta group.
var ErrNoMetaLeader = errors.New("no server answers as the leader of the meta group")

// ErrNotInRoutes means that a joiner's routes leave itself out.
var ErrNotInRoutes = errors.New("the routes leave the node itself out")

// MetaLeader asks all servers, of which the leader of the meta group alone answers.
// Without an answer it returns ErrNoMetaLeader.
func (s *Server) MetaLeader(ctx context.Context) (MetaGroup, error) { return MetaGroup{}, errSkeleton }

// Healthy says whether this server calls itself healthy, and if not why.
func (s *Server) Healthy() (ok bool, reason string) { return false, "" }

// MetaHealthy says whether this server's meta group is usable: the thing to wait for before a bucket is opened.
func (s *Server) MetaHealthy() (ok bool, reason string) { return false, "" }

// InSync says whether all that this server holds is in sync with its leaders, by both witnesses, at this moment.
func (s *Server) InSync(ctx context.Context) (ok bool, reason string) { return false, "" }

// SafeToRestart says whether another server can be restarted without a loss of quorum.
func (s *Server) SafeToRestart(ctx context.Context) (ok bool, reason string) { return false, "" }

// StepDown gives up every leadership that this server has.
func (s *Server) StepDown(ctx context.Context) error { return errSkeleton }

// Shutdown hands over every leadership, tells clients to go, and stops the server.
func (s *Server) Shutdown(ctx context.Context) error { return errSkeleton }

// Stop stops the server at once, without handing anything over.
func (s *Server) Stop() {}

// StoreError is the first sign that the server can no longer write its store, nil while all is well.
func (s *Server) StoreError() error { return nil }

// StoreFailed is closed once StoreError is not nil.
func (s *Server) StoreFailed() <-chan struct{} { return nil }
