// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"log/slog"
	"testing"
)

func TestClientsLeaveOpenFiles(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		wanted int
		open   uint64
		want   int
	}{{65536, 1 << 20, 65536}, {65536, 20_000, 15_000}, {100, 200, 100}, {150, 200, 150}, {151, 200, 150}, {77, 0, 77}, {5, ^uint64(0), 5}} {
		if got := clients(c.wanted, c.open, log); got != c.want {
			t.Errorf("%d wanted, %d may be open: %d, want %d", c.wanted, c.open, got, c.want)
		}
	}
	if openFiles() == 0 {
		t.Error("the system does not tell how many files may be open")
	}
}

func TestOneUserHasAnEighthOfTheClients(t *testing.T) {
	for clients, want := range map[int]int{65536: 8192, 15_000: 1875, 128: 16, 127: 16, 1: 16} {
		if got := ofOne(clients); got != want {
			t.Errorf("%d clients: %d of one user, want %d", clients, got, want)
		}
	}
}
