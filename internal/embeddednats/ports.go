// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// takePort says at once whether the port can be had, before a store is touched; nats-server itself
// would only log it, and wait. Port 0 becomes a free one.
func takePort(flag, host string, port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, fmt.Errorf("%s %d of %s is in use by another process; stop it or choose another port: %w", flag, port, host, err)
	case err != nil:
		return 0, fmt.Errorf("%s %d of %s can't be listened on: %w", flag, port, host, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
