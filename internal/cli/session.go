// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/steering"
)

// options are those of all cluster commands.
type options struct {
	dir     string
	output  string
	yes     bool
	timeout time.Duration
	ledger  string
}

// How much of a ledger is read.
const (
	ledgerFull  = "full"
	ledgerQuick = "quick"
	ledgerNone  = "none"
)

func (o *options) check() error {
	if err := console.CheckTime("timeout", o.timeout); err != nil {
		return err
	}
	if err := console.CheckChoice("output", o.output, console.FormatTable, console.FormatJSON, console.FormatYAML); err != nil {
		return err
	}
	return console.CheckChoice("ledger", o.ledger, ledgerFull, ledgerQuick, ledgerNone)
}

// session is one run of a command on a cluster.
type session struct {
	*driver
	opts   *options
	in     io.Reader
	out    io.Writer // the result
	notice io.Writer // what is said meanwhile: not among the result when that is for a program
}

// open opens the cluster's folder. Files that are given with n take the place of those in the inventory.
func open(cmd *cobra.Command, opts *options, n *nodeFlags) (*session, error) {
	inv, err := folder{opts.dir}.inventory()
	if err != nil {
		return nil, err
	}
	files := inv.TLS
	if n != nil {
		given, err := n.files()
		if err != nil {
			return nil, err
		}
		if given != (tlsFiles{}) {
			files = given
		}
	}
	return openWith(cmd, opts, files)
}

func openWith(cmd *cobra.Command, opts *options, files tlsFiles) (*session, error) {
	f, err := folder{opts.dir}.resolved()
	if err != nil {
		return nil, err
	}
	operator, err := f.key(operatorFile)
	if err != nil {
		return nil, err
	}
	order, err := f.key(orderFile)
	if err != nil {
		return nil, err
	}
	ctl, err := newControl(files)
	if err != nil {
		return nil, err
	}
	credentials, err := steering.Login(operator)
	if err != nil {
		return nil, err
	}
	if _, err := files.base(); err != nil {
		return nil, err
	}
	s := &session{opts: opts, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), notice: cmd.OutOrStdout()}
	if opts.output != console.FormatTable {
		s.notice = cmd.ErrOrStderr()
	}
	l := &launcher{folder: f, control: ctl}
	s.driver = &driver{
		observer: &observer{folder: f, launcher: l, control: ctl, connect: func(ctx context.Context, urls, names []string) (*jsadmin.Admin, error) {
			inv, err := f.inventory()
			if err != nil {
				return nil, err
			}
			cfg, err := files.client(inv.Places)
			if err != nil {
				return nil, err
			}
			return jsadmin.Connect(ctx, jsadmin.Options{URLs: urls, Names: names, Connect: secured(credentials, cfg, urls), Accounts: steering.Accounts()})
		}},
		executor: &executor{folder: f, control: ctl, order: order},
		say:      newNarrator(s.notice),
	}
	return s, nil
}

// secured adds TLS to credentials. It is demanded, not merely offered, wherever a node can be reached from another host.
func secured(credentials func(string) []nats.Option, cfg *tls.Config, urls []string) func(string) []nats.Option {
	demanded := slices.ContainsFunc(urls, func(u string) bool { return !loopback(hostOf(u)) })
	return func(account string) []nats.Option {
		return append(credentials(account), func(o *nats.Options) error {
			o.Secure = demanded
			if cfg != nil {
				o.TLSConfig = cfg.Clone()
			}
			return nil
		})
	}
}

// read reads a ledger, with its progress, and says so when there is none to be had.
func (s *session) read(ctx context.Context, o observation, when string) ([]jsadmin.LedgerEntry, error) {
	if s.opts.ledger == ledgerNone {
		return nil, errors.New("--ledger none")
	}
	if o.Meta == nil || s.admin == nil {
		s.say.line("no ledger %s: no meta leader answers", when)
		return nil, errors.New("no meta leader answers")
	}
	began, told := time.Now(), time.Now()
	progress := func(account, stream string, read, of uint64) {
		if now := time.Now(); now.Sub(began) > 2*time.Second && now.Sub(told) > 2*time.Second {
			told = now
			s.say.line("ledger %s: %s/%s, %d of %d messages read", when, account, stream, read, of)
		}
	}
	entries, err := s.admin.Ledger(ctx, jsadmin.LedgerOptions{Quick: s.opts.ledger == ledgerQuick, Progress: locked(progress)})
	if err != nil {
		s.say.line("no ledger %s: %v", when, err)
		return nil, err
	}
	var messages uint64
	for _, e := range entries {
		messages += e.Messages
	}
	s.say.line("ledger %s: %s, %s, read in %.1f s", when, console.Count(uint64(len(entries)), "stream"), console.Count(messages, "message"), time.Since(began).Seconds())
	return entries, nil
}

// show prints a plan.
func (s *session) show(p plan) {
	if len(p.Steps) > 0 {
		fmt.Fprintf(s.notice, "Plan: %s now, %s wished.\n", console.Count(uint64(p.From), "member"), console.Count(uint64(p.To), "member"))
		rows := [][]string{{"", "STEP", "MEMBERS", "QUORUM", "MAY BE LOST"}}
		for i, st := range p.Steps {
			rows = append(rows, []string{fmt.Sprint(i + 1), st.Do, fmt.Sprint(st.Members), fmt.Sprint(st.Quorum), fmt.Sprint(st.Spare)})
		}
		_ = console.Table(s.notice, rows...) // it is asked for in any case
	}
	if p.Blocked != "" {
		fmt.Fprintf(s.notice, "Then it waits: %s\n  what to do: %s\n", p.Blocked, console.Dash(p.Remedy))
	}
}
