// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
)

// Exit codes of the driver that mean more than "run it again"; `unibus cluster --help` lists all.
const (
	exitUsage   = 2
	exitPerson  = 3
	exitRefused = 5
	exitLost    = 6
)

// person says whether the driver may call for a person at first: a disk is not where it was, and until its node has answered
// again that may look like a loss that nobody mends.
func (k Kind) person() bool {
	return k == diskLost || k == disksSwapped || k == diskOld || k == diskBack
}

// exitVerdict says what the end of a driver's run means: nil when it is done or has to be run again, else what is wrong with
// the product or with the soak.
func exitVerdict(ended error, k Kind) error {
	var e *exec.ExitError
	if !errors.As(ended, &e) {
		return nil
	}
	switch code := e.ExitCode(); code {
	case exitLost:
		return fmt.Errorf("the driver's ledger shows that something is missing: %w", ended)
	case exitPerson:
		if k.person() {
			return nil
		}
		return fmt.Errorf("the driver calls for a person, which %q is no reason for: %w", k, ended)
	case exitUsage, exitRefused:
		return fmt.Errorf("the soak drives wrongly: %w", ended)
	}
	return nil
}
