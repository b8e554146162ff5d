// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
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

// RouteSecrets are what nodes know each other by.
type RouteSecrets struct {
	// Dial is shown to other nodes, and accepted of them; empty where there is none.
	Dial string
	// Also is accepted beside it, empty for none.
	Also string
}

// RouteSecrets returns the secrets of routes as they are now, from where they are configured. It fails when a file can't be read, holds
// anything but one line, or may be read by everybody.
func (c Config) RouteSecrets() (RouteSecrets, error) {
	dial, err := c.RouteSecret()
	if err != nil {
		return RouteSecrets{}, err
	}
	if c.ClusterPassAlsoFile == "" {
		return RouteSecrets{Dial: dial}, nil
	}
	for {
		also, err := readSecret(c.ClusterPassAlsoFile, "--cluster-pass-also-file", true)
		if err != nil {
			return RouteSecrets{}, err
		}
		again, err := c.RouteSecret()
		if err != nil {
			return RouteSecrets{}, err
		}
		if again == dial {
			return RouteSecrets{Dial: dial, Also: also}, nil
		}
		dial = again // the two were exchanged meanwhile, and the second is of another time than the first
	}
}

// RouteSecret returns the secret that is shown to other nodes.
func (c Config) RouteSecret() (string, error) {
	if c.ClusterPassFile == "" {
		return c.ClusterPass, checkSecret(c.ClusterPass, "--cluster-pass")
	}
	return readSecret(c.ClusterPassFile, "--cluster-pass-file", false)
}

// readSecret reads the file that a flag names. One that is optional may be empty or missing.
func readSecret(path, flag string, optional bool) (string, error) {
	where := flag + " " + path
	f, err := os.Open(path)
	if optional && errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
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
	if secret == "" && optional {
		return "", nil
	}
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
	if g.ClusterPassAlsoFile != "" && g.ClusterPass == "" && g.ClusterPassFile == "" {
		g.refuse("cluster-pass-also-file", "give --cluster-pass-file, or take this away", "there is no secret of routes that another one could be accepted beside")
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
	for _, key := range g.OrderKeys {
		check("order-key", key, "O")
	}
	if !strings.HasPrefix(g.RouteTLSName, "*.") && !validHost(g.RouteTLSName) || !validHost(strings.TrimPrefix(g.RouteTLSName, "*.")) {
		g.refuse("route-tls-name", "use node.unibus, or what the certificates of all nodes carry", "%q is no DNS name", g.RouteTLSName)
	}
}
