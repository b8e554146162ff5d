// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// maxSecretFile is the size limit of a secret's file in bytes.
const maxSecretFile = 64 << 10

// bcryptSecret is what nats-server takes for the hash of a secret, not for one.
var bcryptSecret = regexp.MustCompile(`^\$2[abxy]\$`)

// publicKey is the text of a public nkey after its first letter, which says the type.
var publicKey = regexp.MustCompile(`^[A-Z][A-Z2-7]{55}$`)

// RouteSecret returns the secret of routes, from where it is configured; empty when it is nowhere. It fails when the file can't be
// read, is empty, or may be read by everybody.
func (c Config) RouteSecret() (string, error) {
	if c.ClusterPassFile == "" {
		return c.ClusterPass, checkSecret(c.ClusterPass, "--cluster-pass")
	}
	where := "--cluster-pass-file " + c.ClusterPassFile
	f, err := os.Open(c.ClusterPassFile)
	if err != nil {
		return "", fmt.Errorf("--cluster-pass-file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("--cluster-pass-file: %w", err)
	}
	// A group may read it: that is how a mounted secret is given to one user.
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", fmt.Errorf("%s: everybody may read it (mode %04o); chmod 600 it, and change the secret if others had access", where, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || len(b) > maxSecretFile || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s: it must hold one line, the secret", where)
	}
	return secret, checkSecret(secret, where)
}

func checkSecret(secret, where string) error {
	if bcryptSecret.MatchString(secret) {
		return fmt.Errorf("%s: the secret begins as a bcrypt hash, which the server would take it for; make another", where)
	}
	return nil
}

func (g *guard) secrets() {
	if g.ClusterPass != "" && g.ClusterPassFile != "" {
		g.refuse("cluster-pass", "give one of them", "the secret is given there and in --cluster-pass-file")
	}
	if checkSecret(g.ClusterPass, "") != nil {
		g.refuse("cluster-pass", "make another", "the secret begins as a bcrypt hash, which the server would take it for")
	}
	if g.ClusterUser == "" && (g.ClusterPass != "" || g.ClusterPassFile != "") {
		g.refuse("cluster-user", "name one, the same on all nodes", "there is a secret of routes and no user name")
	}
}

// keys guards the form of public keys. A value is not repeated: it may be a seed, given by mistake.
func (g *guard) keys() {
	check := func(flag, key, letter string) {
		switch {
		case strings.HasPrefix(key, "S"):
			g.refuse(flag, "give the public half ("+letter+"...), and make new keys if others may have read this", "that is a seed, which is secret")
		case !publicKey.MatchString(key) || !strings.HasPrefix(key, letter):
			g.refuse(flag, "give the 56 characters ("+letter+"...) that the program which made the key printed", "not a public nkey of the wanted type")
		}
	}
	for _, key := range g.OperatorKeys {
		check("operator-key", key, "U")
	}
	for _, key := range g.Admins {
		check("admin", key, "U")
		if slices.Contains(g.OperatorKeys, key) {
			g.refuse("admin", "make a key of its own for the user", "it is an operator's key, too")
		}
	}
	if g.OrderKey != "" {
		check("order-key", g.OrderKey, "O")
	}
	if !strings.HasPrefix(g.RouteTLSName, "*.") && !validHost(g.RouteTLSName) || !validHost(strings.TrimPrefix(g.RouteTLSName, "*.")) {
		g.refuse("route-tls-name", "use node.unibus, or what the certificates of all nodes carry", "%q is no DNS name", g.RouteTLSName)
	}
}
