// SPDX-License-Identifier: Apache-2.0

// Package debian knows which packages of Debian a cluster needs, to be built and to run.
package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// need is a package, and a program or a file that it brings.
type need struct{ debian, brings string }

var needs = []need{
	{"iproute2", "ip"},
	{"nftables", "nft"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"kmod", "modprobe"},
	{"mount", "losetup"},
	{"util-linux", "nsenter"},
	{"xfsprogs", "mkfs.xfs"},
	{"ca-certificates", "/etc/ssl/certs/ca-certificates.crt"},
	{"gcc", "gcc"},
	{"libc6-dev", "/usr/include/stdlib.h"},
	{"libseccomp-dev", "/usr/include/seccomp.h"},
	{"pkg-config", "pkg-config"},
}

// Missing returns the packages that are needed and are not there.
func Missing() []string {
	var missing []string
	for _, n := range needs {
		var err error
		if strings.HasPrefix(n.brings, "/") {
			_, err = os.Stat(n.brings)
		} else {
			_, err = exec.LookPath(n.brings)
		}
		if err != nil {
			missing = append(missing, n.debian)
		}
	}
	return missing
}

// Install installs packages.
func Install(ctx context.Context, out io.Writer, packages []string) error {
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-qy", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // a package that is half installed is worse than to wait
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}
