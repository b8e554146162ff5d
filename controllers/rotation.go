// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// rotation is what is known of a CA and of what it issues. Which certificates nodes use follows from it alone, so that whoever takes over goes on
// where it was left:
//
//	both CAs are trusted -> every node is seen to trust both -> the new certificates are used -> every node is seen to use its -> the old CA goes
type rotation struct {
	// issued is what cert-manager has issued last, used what pods mount. A renewal that comes early is not used before its CA is trusted.
	issued, used *material
	// own is the operator's certificate of that CA as cert-manager has issued it last, kept the one that it uses; nil for a CA that nodes don't ask for.
	own, kept *material
	// since is when used was changed last. Who can't be seen, clients, has for so long as grace time to trust both.
	since time.Time
	grace time.Duration
}

// change is what is to be done next.
type change string

const (
	nothing change = ""
	// takeAll has nodes use what is issued, certificate and CAs.
	takeAll change = "take-certificate"
	// trustBoth has nodes trust the CA of what is issued beside those that they trust.
	trustBoth change = "trust-both-cas"
	// keepOwn has the operator use its certificate that is issued.
	keepOwn change = "take-own-certificate"
	// switchLeaf has nodes use the certificate that is issued, and trust whom they trust.
	switchLeaf change = "switch-certificates"
	// dropOld has nodes trust the CA of what is issued, and no other.
	dropOld change = "drop-old-ca"
)

// gate is what a change waits for.
type gate struct {
	// trusted: every node is seen to take a certificate of the new CA. Presented: every node is seen to present one.
	trusted, presented bool
	// after is the earliest time, zero for any.
	after time.Time
}

// next returns the change to be made next, and what must be seen before. Something that is issued must be usable; see flaw.
func (r rotation) next(now time.Time) (change, gate) {
	to, cas := r.issued.anchors(now), r.issued.cas
	valid := func(m *material) bool { return trusts(r.used.cas, m.chain, now) }
	moved := func(m *material) bool { return m == nil || trusts(to, m.chain, now) }
	switch {
	case len(r.used.cert) == 0: // nobody has any
		return takeAll, gate{}
	case len(missing(cas, r.used.cas)) > 0:
		return trustBoth, gate{} // to trust more parts nobody
	case r.own != nil && !valid(r.kept) && valid(r.own):
		return keepOwn, gate{} // there is nothing to spare
	case !moved(r.kept) || !moved(r.used):
		// Where no certificate in use is valid any more there is nothing to spare either.
		wait := gate{}
		if valid(r.used) {
			wait = gate{trusted: r.own != nil, after: r.told()}
		}
		if !moved(r.kept) {
			return keepOwn, wait
		}
		return switchLeaf, wait
	case r.own != nil && moved(r.own) && !bytes.Equal(r.own.cert, r.kept.cert):
		return keepOwn, gate{}
	case len(missing(r.used.cas, cas)) > 0:
		if !bytes.Equal(r.issued.cert, r.used.cert) {
			return switchLeaf, gate{} // renewed meanwhile
		}
		return dropOld, gate{trusted: r.own != nil, presented: true, after: r.since.Add(r.grace)}
	case !bytes.Equal(r.issued.cert, r.used.cert) || !bytes.Equal(r.issued.ca, r.used.ca):
		return takeAll, gate{}
	}
	return nothing, gate{}
}

// margin is how long before its end a certificate is replaced, whoever might not trust the new one yet.
const margin = 5 * time.Minute

// told is when those who can't be seen have had the time to trust both CAs.
func (r rotation) told() time.Time {
	at := r.since.Add(r.grace)
	if end := r.used.chain[0].NotAfter.Add(-margin); r.grace > 0 && end.Before(at) {
		return end
	}
	return at
}

// dates says whether a change begins a time of grace. That a certificate is renewed does not.
func (r rotation) dates(do change, now time.Time) bool {
	return do == trustBoth || do == switchLeaf && !trusts(r.issued.anchors(now), r.used.chain, now)
}

// data is what pods mount after a change, or the operator uses.
func (r rotation) data(do change) map[string][]byte {
	leaf := func(m *material, ca []byte) map[string][]byte {
		return map[string][]byte{corev1.TLSCertKey: m.cert, corev1.TLSPrivateKeyKey: m.key, caKey: ca}
	}
	switch do {
	case trustBoth:
		return leaf(r.used, encode(slices.Concat(r.used.cas, missing(r.issued.cas, r.used.cas))))
	case keepOwn:
		return leaf(r.own, r.own.ca)
	case switchLeaf:
		return leaf(r.issued, r.used.ca)
	default:
		return leaf(r.issued, r.issued.ca)
	}
}

// trusted are all CAs by which a node may be known, whether it has seen the last change or not.
func (r rotation) trusted() []*x509.Certificate {
	return slices.Concat(r.used.cas, missing(r.issued.cas, r.used.cas))
}

// flaw says why something that is issued can't be used, empty when it can.
func flaw(m *material, cas []*x509.Certificate, now time.Time) string {
	switch {
	case len(m.chain) == 0:
		return "holds no certificate and key that belong together"
	case now.Before(m.chain[0].NotBefore):
		return "holds a certificate whose time has not begun; see whether clocks are right"
	case now.After(m.chain[0].NotAfter):
		return "holds a certificate whose time has ended"
	case !trusts(cas, m.chain, now):
		return "holds a certificate that is not of the CA which nodes are to trust"
	}
	return ""
}
