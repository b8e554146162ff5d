// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/scaling"
)

// statusView is what a cluster is seen as.
type statusView struct {
	Name      string `json:"name"`
	ClusterID string `json:"clusterID,omitempty"`
	Wished    int    `json:"wished"`
	Members   int    `json:"members"`
	Leader    string `json:"leader,omitempty"`
	// State is done, working, waiting or person; Reason says why, Remedy what a person can do.
	State   string       `json:"state"`
	Reason  string       `json:"reason"`
	Remedy  string       `json:"remedy,omitempty"`
	Nodes   []nodeView   `json:"nodes"`
	Streams []streamView `json:"streams"`
	// AddContext is the command that lets the first admin talk on the bus.
	AddContext string `json:"addContext,omitempty"`
}

type nodeView struct {
	Place   string `json:"place"`
	Control string `json:"control"`
	Client  string `json:"client,omitempty"`
	API     string `json:"api,omitempty"`
	Phase   string `json:"phase"`
	Server  string `json:"server,omitempty"`
	// Role is leader, member, joining or none, as the meta leader lists it.
	Role   string `json:"role"`
	Record string `json:"record,omitempty"`
	Mark   string `json:"mark,omitempty"`
	DiskID string `json:"diskID,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Process is the id of a process of this machine that runs.
	Process int `json:"process,omitempty"`
}

type streamView struct {
	Stream   string   `json:"stream"`
	Replicas int      `json:"replicas"`
	Leader   string   `json:"leader,omitempty"`
	InSync   []string `json:"inSync"`
	Behind   []string `json:"behind,omitempty"`
	Messages uint64   `json:"messages"`
	Last     uint64   `json:"last"`
}

func view(o observation) statusView {
	v := statusView{Name: o.inv.Name, ClusterID: o.inv.ClusterID, Wished: o.inv.Replicas, Nodes: []nodeView{}, Streams: []streamView{}, AddContext: o.inv.addContext()}
	step := o.next()
	v.Reason, v.Remedy = step.Reason, step.Remedy
	switch {
	case step.Action == scaling.Done:
		v.State = "done"
	case step.Person:
		v.State = "person"
	case step.Action == scaling.Wait:
		v.State = "waiting"
	default:
		v.State, v.Reason = "working", "next: "+stepWords(step)
	}
	if o.Meta != nil {
		v.Leader, v.Members = o.Meta.Leader, len(o.Meta.Members)
	}
	for i := range o.inv.Places {
		v.Nodes = append(v.Nodes, viewNode(o, i))
	}
	for _, s := range o.Streams {
		sv := streamView{Stream: s.Account + "/" + s.Name, Replicas: s.Replicas, Leader: s.Leader, InSync: []string{}, Messages: s.Messages, Last: s.Last}
		for _, r := range s.Members {
			if r.Current() {
				sv.InSync = append(sv.InSync, r.Name)
			} else {
				sv.Behind = append(sv.Behind, r.Name)
			}
		}
		v.Streams = append(v.Streams, sv)
	}
	return v
}

func viewNode(o observation, i int) nodeView {
	p := o.inv.Places[i]
	n := nodeView{Place: fmt.Sprintf("node-%d", i), Control: p.Control, API: p.API, Phase: "stopped", Role: "none", DiskID: p.DiskID}
	if p.Local == nil || o.seen.Places[i].Started {
		n.Phase = "silent"
	}
	if p.Local != nil && o.seen.Places[i].Started {
		n.Process = p.Local.PID
	}
	if s := o.nodes[i]; s != nil {
		n.Client, n.Phase, n.Server, n.Mark, n.DiskID, n.Reason = s.ClientURL, string(s.Phase), s.ServerName, s.Mark, s.DiskID, s.Reason
	}
	if r := o.record.Record; r != nil {
		for name, q := range r.Names {
			if active := q.Phase != scaling.Removed && q.Phase != scaling.Void; name == n.Server || n.Server == "" && active && q.Place == i {
				n.Server, n.Record = name, string(q.Phase)
			}
		}
	}
	if o.Meta != nil && n.Server != "" {
		switch m, ok := o.Meta.Has(n.Server); {
		case ok && o.Meta.Leader == n.Server:
			n.Role = "leader"
		case ok && m.Current:
			n.Role = "member"
		case ok:
			n.Role = "behind"
		}
	}
	return n
}

func (v statusView) print(w io.Writer) {
	fmt.Fprintf(w, "Cluster %s: %d of %s, leader %s\n", v.Name, v.Members, console.Count(uint64(v.Wished), "member"), console.Dash(v.Leader))
	rows := [][]string{{"NODE", "SERVER", "PHASE", "ROLE", "RECORD", "MARK", "CLIENTS AT", "CONTROL", "PROCESS"}}
	for _, n := range v.Nodes {
		process := "-"
		if n.Process > 0 {
			process = fmt.Sprint(n.Process)
		}
		rows = append(rows, []string{n.Place, console.Dash(n.Server), n.Phase, n.Role, console.Dash(n.Record), console.Dash(n.Mark), console.Dash(n.Client), n.Control, process})
	}
	_ = console.Table(w, rows...) // what can't be printed Main tells, when all is done
	if len(v.Streams) > 0 {
		rows := [][]string{{"STREAM", "REPLICAS", "LEADER", "IN SYNC", "BEHIND", "MESSAGES", "LAST"}}
		for _, s := range v.Streams {
			rows = append(rows, []string{
				s.Stream, fmt.Sprint(s.Replicas), console.Dash(s.Leader), console.Dash(strings.Join(s.InSync, " ")), console.Dash(strings.Join(s.Behind, " ")),
				fmt.Sprint(s.Messages), fmt.Sprint(s.Last),
			})
		}
		_ = console.Table(w, rows...) // what can't be printed Main tells, when all is done
	}
	switch v.State {
	case "done":
		fmt.Fprintf(w, "State: as wished. %s\n", v.Reason)
	default:
		fmt.Fprintf(w, "State: %s. %s\n", v.State, v.Reason)
		if v.Remedy != "" {
			fmt.Fprintf(w, "  what to do: %s\n", v.Remedy)
		}
	}
	if slices.Contains([]string{"working", "waiting"}, v.State) {
		fmt.Fprintln(w, "  unibus cluster start carries on")
	}
	if v.AddContext != "" {
		fmt.Fprintf(w, "To talk on it, tell unibus where it is:\n  %s\n", v.AddContext)
	}
}
