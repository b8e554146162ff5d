// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const day = 24 * time.Hour

// issuer is a CA with a key, which it keeps when it is renewed.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// sign makes a certificate, that of a CA when nobody issues it.
func sign(t testing.TB, name string, from, to time.Time, key *ecdsa.PrivateKey, by *issuer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to}
	parent, signer := c, key
	if by == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	return c
}

func newIssuer(t testing.TB, name string, now time.Time) *issuer {
	t.Helper()
	key := newKey(t)
	return &issuer{key, sign(t, name, now.Add(-day), now.Add(90*day), key, nil)}
}

// issue makes what cert-manager writes into a Secret.
func (ca *issuer) issue(t testing.TB, from, to time.Time) *material {
	t.Helper()
	key := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return hold(map[string][]byte{caKey: encode([]*x509.Certificate{ca.cert}), corev1.TLSCertKey: encode([]*x509.Certificate{sign(t, "node", from, to, key, ca)}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})})
}

func hold(data map[string][]byte) *material { return materialOf(&corev1.Secret{Data: data}) }

// TestNext: which change is next, state by state.
func TestNext(t *testing.T) {
	now := time.Now()
	old, other := newIssuer(t, "old", now), newIssuer(t, "other", now)
	renewed := &issuer{old.key, sign(t, "old", now.Add(-time.Hour), now.Add(200*day), old.key, nil)}
	leaf := func(ca *issuer) *material { return ca.issue(t, now.Add(-time.Hour), now.Add(day)) }
	both := func(m *material) *material {
		return hold(map[string][]byte{caKey: encode([]*x509.Certificate{old.cert, other.cert}), corev1.TLSCertKey: m.cert, corev1.TLSPrivateKeyKey: m.key})
	}
	a, b, ended := leaf(old), leaf(other), old.issue(t, now.Add(-2*day), now.Add(-day))
	damaged := hold(map[string][]byte{caKey: a.ca, corev1.TLSCertKey: a.cert, corev1.TLSPrivateKeyKey: b.key})
	bundle := hold(map[string][]byte{caKey: both(a).ca, corev1.TLSCertKey: b.cert, corev1.TLSPrivateKeyKey: b.key})
	none := new(material)
	seen, present := gate{trusted: true}, gate{trusted: true, presented: true}
	for name, c := range map[string]struct {
		issued, used, own, kept *material
		want                    change
		wait                    gate
	}{
		"nothing yet":                                  {a, none, a, none, takeAll, gate{}},
		"the operator has none yet":                    {a, a, a, none, keepOwn, gate{}},
		"all is well":                                  {a, a, a, a, nothing, gate{}},
		"a certificate was renewed":                    {leaf(old), a, a, a, takeAll, gate{}},
		"the operator's was renewed":                   {a, a, leaf(old), a, keepOwn, gate{}},
		"the CA was renewed with its key":              {leaf(renewed), a, a, a, takeAll, gate{}},
		"another CA":                                   {b, a, b, a, trustBoth, gate{}},
		"another CA, and the operator's is to come":    {b, a, a, a, trustBoth, gate{}},
		"another CA, and an operator that kept none":   {b, a, b, none, trustBoth, gate{}},
		"both trusted, and an operator that kept none": {b, both(a), b, none, keepOwn, gate{}},
		"both trusted":                                 {b, both(a), b, a, keepOwn, seen},
		"the operator has moved":                       {b, both(a), b, b, switchLeaf, seen},
		"nodes have moved":                             {b, both(b), b, b, dropOld, present},
		"moved, and renewed meanwhile":                 {leaf(other), both(b), b, b, switchLeaf, gate{}},
		"moved, and the operator's renewed meanwhile":  {b, both(b), leaf(other), b, keepOwn, gate{}},
		"turned back before nodes have moved":          {a, both(a), a, a, dropOld, present},
		"turned back when the operator has moved":      {a, both(a), a, b, keepOwn, seen},
		"a bundle of CAs, one of them new":             {bundle, both(a), b, a, keepOwn, seen},
		"another CA, too late anyway":                  {b, ended, b, ended, trustBoth, gate{}},
		"both trusted, too late anyway":                {b, both(ended), b, ended, keepOwn, gate{}},
		"the operator has moved, too late anyway":      {b, both(ended), b, b, switchLeaf, gate{}},
		"what pods mount is damaged":                   {a, damaged, a, a, switchLeaf, gate{}},
		"what the operator has kept is damaged":        {a, a, a, damaged, keepOwn, gate{}},
	} {
		if got, wait := (rotation{issued: c.issued, used: c.used, own: c.own, kept: c.kept}).next(now); got != c.want || wait != c.wait {
			t.Errorf("%s: %q after %+v, want %q after %+v", name, got, wait, c.want, c.wait)
		}
	}
}

// TestNextForClients: those who can't be seen are given time, but not more than certificates have.
func TestNextForClients(t *testing.T) {
	now := time.Now()
	old, other := newIssuer(t, "old", now), newIssuer(t, "other", now)
	told := now.Add(-time.Minute).Truncate(time.Second)
	next := func(end time.Time) time.Time {
		used := old.issue(t, now.Add(-day), end)
		r := rotation{issued: other.issue(t, now.Add(-time.Hour), now.Add(day)), used: used, since: told, grace: time.Hour}
		r.used = hold(r.data(trustBoth))
		do, wait := r.next(now)
		if do != switchLeaf || wait.trusted || wait.presented {
			t.Errorf("%q after %+v", do, wait)
		}
		return wait.after
	}
	if got := next(now.Add(day)); !got.Equal(told.Add(time.Hour)) {
		t.Errorf("switched at %v, told at %v", got, told)
	}
	end := now.Add(time.Hour / 2).Truncate(time.Second)
	if got := next(end); !got.Equal(end.Add(-margin)) {
		t.Errorf("switched at %v, and the certificate ends at %v", got, end)
	}
}

// walk is a cluster whose nodes read what they mount when they like, an issuer that changes its CA when it likes, and an operator that may end
// after each change. It ends with what went wrong.
type walk struct {
	t      *testing.T
	draw   *mathrand.Rand
	now    time.Time
	issuer *issuer
	rotation
	nodes []*material
	// clients have what they were told within the time of grace; nil without.
	clients []*material
	// blind takes the gates out that it names.
	blind gate
	known map[[2]*material]bool
}

func newWalk(t *testing.T, seed uint64, clients int) *walk {
	w := &walk{t: t, draw: mathrand.New(mathrand.NewPCG(seed, 0)), now: time.Now(), known: map[[2]*material]bool{}}
	w.issuer = newIssuer(t, "first", w.now)
	w.issued = w.leaf()
	w.used = w.issued
	if w.grace = time.Hour; clients == 0 {
		w.grace, w.own = 0, w.leaf()
		w.kept = w.own
	}
	w.nodes = []*material{w.used, w.used, w.used}
	for range clients {
		w.clients = append(w.clients, w.used)
	}
	return w
}

func (w *walk) leaf() *material {
	return w.issuer.issue(w.t, w.now.Add(-time.Minute), w.now.Add(30*day))
}

// turn makes one turn of whoever's it is.
func (w *walk) turn() {
	switch n := w.draw.IntN(10); {
	case n < 4:
		w.pass()
	case n < 6:
		w.nodes[w.draw.IntN(len(w.nodes))] = w.used
	case n < 7 && w.own != nil:
		w.own = w.leaf()
	case n < 8:
		w.issued = w.leaf()
	case n < 9 && len(w.clients) > 0:
		w.clients[w.draw.IntN(len(w.clients))] = w.used
	case n < 9:
	default:
		w.issuer = newIssuer(w.t, fmt.Sprint(w.draw.Uint64()), w.now)
	}
}

// pass is one of the operator. Time passes, and clients learn within the time of grace what they are told.
func (w *walk) pass() bool {
	do, wait := w.next(w.now)
	to := w.issued.anchors(w.now)
	if (do == keepOwn || wait.trusted) && !trusts(to, w.own.chain, w.now) {
		return true // it waits for cert-manager
	}
	for _, n := range w.nodes {
		if wait.trusted && !w.blind.trusted && !trusts(n.cas, w.own.chain, w.now) || wait.presented && !w.blind.presented && !trusts(to, n.chain, w.now) {
			return true
		}
	}
	if w.now.Before(wait.after) {
		if w.blind.after.IsZero() {
			w.now = wait.after
			for i := range w.clients {
				w.clients[i] = w.used
			}
		}
	}
	if do != keepOwn && w.dates(do, w.now) {
		w.since = w.now
	}
	switch do {
	case nothing:
		return false
	case keepOwn:
		w.kept = hold(w.data(do))
	default:
		w.used = hold(w.data(do))
	}
	return true
}

// takes says whether who has this takes the certificate of that. Nobody's time ends here, and so it is asked once.
func (w *walk) takes(who, other *material) bool {
	key := [2]*material{who, other}
	if _, ok := w.known[key]; !ok {
		w.known[key] = trusts(who.cas, other.chain, w.now)
	}
	return w.known[key]
}

// parted says who refuses whom, empty when nobody does.
func (w *walk) parted() string {
	for i, n := range w.nodes {
		for j, other := range w.nodes {
			if w.own != nil && !w.takes(n, other) {
				return fmt.Sprintf("node %d refuses node %d", i, j)
			}
		}
		if w.own != nil && !w.takes(n, w.kept) {
			return fmt.Sprintf("node %d refuses the operator", i)
		}
		if !w.takes(w.used, n) && !w.takes(w.issued, n) {
			return fmt.Sprintf("the operator refuses node %d", i)
		}
		for j, c := range w.clients {
			if !w.takes(c, n) {
				return fmt.Sprintf("client %d refuses node %d", j, i)
			}
		}
	}
	return ""
}

// run walks, and then has everybody follow until nothing is left to do.
func (w *walk) run() string {
	for range 60 {
		w.turn()
		if who := w.parted(); who != "" {
			return who
		}
	}
	w.issued = w.leaf()
	if w.own != nil {
		w.own = w.leaf()
	}
	for range 20 {
		for i := range w.nodes {
			w.nodes[i] = w.used
		}
		for i := range w.clients {
			w.clients[i] = w.used
		}
		if !w.pass() {
			if len(w.used.cas) != 1 || !w.used.cas[0].Equal(w.issuer.cert) {
				return fmt.Sprintf("it ends with %d CAs", len(w.used.cas))
			}
			return w.parted()
		}
		if who := w.parted(); who != "" {
			return who
		}
	}
	return "it does not end"
}

// TestRotationPartsNobody: whatever the order in which nodes read their files, issuers change and the operator ends, at no moment does a node refuse
// another one or the operator, or a client a node, and in the end only the newest CA is trusted. With a gate taken out that is not so.
func TestRotationPartsNobody(t *testing.T) {
	const walks = 60
	for _, c := range []struct {
		name    string
		clients int
		blind   gate
	}{
		{"routes", 0, gate{}}, {"clients", 3, gate{}},
		{"not seen to trust both", 0, gate{trusted: true}}, {"not seen to present the new one", 0, gate{presented: true}},
		{"clients are given no time", 3, gate{after: time.Now()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(walks) {
				w := newWalk(t, seed, c.clients)
				w.blind = c.blind
				switch who := w.run(); {
				case who != "" && c.blind == (gate{}):
					t.Errorf("walk %d: %s", seed, who)
				case who != "":
					t.Logf("walk %d: %s", seed, who)
					return // it was to go wrong
				}
			}
			if c.blind != (gate{}) {
				t.Error("it made no difference")
			}
		})
	}
}
