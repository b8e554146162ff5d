// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// Where the nodes of a bootstrap agree on the cluster id: a key-value bucket in the membership account.
const (
	clusterStream  = "KV_UNIBUS_cluster"
	clusterSubject = "$KV.UNIBUS_cluster.id"
)

// attemptTime is how long one request may take. Until there is a leader nobody answers, so short attempts settle sooner
// than long ones.
const attemptTime = 250 * time.Millisecond

// agree returns the cluster id that all nodes of a bootstrap get: the first one that was written. The bucket takes one
// value a key and refuses every other, so it does not matter how often, or how late, somebody writes.
func (f *Formation) agree(ctx context.Context, srv *embeddednats.Server) (string, error) {
	request, done, err := requests(srv)
	if err != nil {
		return "", err
	}
	defer done()
	mine := f.cfg.ClusterID
	if mine == "" {
		mine = newNonce()
	}
	for ctx.Err() == nil {
		id, err := agreeOnce(request, mine, f.seeds())
		if err == nil {
			if f.cfg.ClusterID != "" && id != f.cfg.ClusterID {
				return "", refuse("give all nodes the same cluster id", "the cluster agreed on id %s, this node is configured for %s", id, f.cfg.ClusterID)
			}
			return id, nil
		}
		if err := f.pauseFor(ctx, "waiting for the cluster to settle and agree on its id: %v", err); err != nil {
			return "", err
		}
	}
	return "", ctx.Err()
}

// requests returns how to ask in the membership account, until done is called. A body is sent as it is, or as JSON; an
// answer is JSON.
func requests(srv *embeddednats.Server) (request func(subject string, body, answer any) error, done func(), err error) {
	nc, err := srv.InProcess(embeddednats.AccountMembership)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the membership account: %w", err)
	}
	return func(subject string, body, answer any) error {
		b, ok := body.([]byte)
		if !ok {
			var err error
			if b, err = json.Marshal(body); err != nil {
				return err
			}
		}
		m, err := nc.Request(subject, b, attemptTime)
		if err != nil {
			return err
		}
		return json.Unmarshal(m.Data, answer)
	}, nc.Close, nil
}

// agreeOnce reads the id, and when there is none makes the bucket and proposes mine.
func agreeOnce(request func(subject string, body, answer any) error, mine string, nodes int) (string, error) {
	read := func() (string, error) {
		var got struct {
			Message *struct {
				Data []byte `json:"data"`
			} `json:"message"`
		}
		// The leader answers this, never a replica that lags.
		if err := request("$JS.API.STREAM.MSG.GET."+clusterStream, map[string]string{"last_by_subj": clusterSubject}, &got); err != nil {
			return "", fmt.Errorf("read the cluster id: %w", err)
		}
		if got.Message == nil {
			return "", nil
		}
		if id := string(got.Message.Data); v1.ValidName(id) {
			return id, nil
		}
		return "", errors.New("read the cluster id: the value is not an id")
	}
	if id, err := read(); err == nil && id != "" {
		return id, nil
	}
	var made struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := request("$JS.API.STREAM.CREATE."+clusterStream, clusterBucket(nodes), &made); err != nil {
		return "", fmt.Errorf("make the bucket of the cluster id: %w", err)
	}
	var wrote struct{}
	proposed := request(clusterSubject, []byte(mine), &wrote)
	id, err := read()
	switch {
	case err != nil:
		return "", err
	case id != "":
		return id, nil
	case made.Error != nil:
		return "", fmt.Errorf("make the bucket of the cluster id: %s", made.Error.Description)
	case proposed != nil:
		return "", fmt.Errorf("propose a cluster id: %w", proposed)
	default:
		return "", errors.New("no cluster id is written yet")
	}
}

// clusterBucket is a key-value bucket of write-once keys, with a replica on every node.
func clusterBucket(nodes int) map[string]any {
	return map[string]any{
		"name": clusterStream, "subjects": []string{"$KV.UNIBUS_cluster.>"},
		"storage": "file", "retention": "limits", "num_replicas": min(max(nodes, 1), 5),
		"max_msgs_per_subject": 1, "discard": "new", "discard_new_per_subject": true,
		"max_bytes": 64 << 10, "max_msg_size": 1 << 10, "allow_direct": true, "allow_rollup_hdrs": false, "deny_delete": true,
	}
}
