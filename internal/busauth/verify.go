// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Why a certificate is refused. The text around it names the certificate and the remedy.
var (
	ErrNoCertificate = errors.New("no certificate")
	ErrExpired       = errors.New("expired")
	ErrNotYetValid   = errors.New("not yet valid")
	ErrAuthority     = errors.New("not of a trusted CA")
	ErrUsage         = errors.New("not for this use")
	ErrName          = errors.New("not for this name")
	ErrCertificate   = errors.New("not acceptable")
)

// verifyPeer is the whole verification of a peer. It never returns an x509.HostnameError: a single one makes the server forget,
// for the life of the process, the name it verifies routes by.
func (f *Files) verifyPeer(cs tls.ConnectionState, usages []x509.ExtKeyUsage, name string) error {
	err := ErrNoCertificate
	if len(cs.PeerCertificates) > 0 {
		leaf := cs.PeerCertificates[0]
		err = f.judge(f.current(), cs.PeerCertificates, usages, name, "certificate of the peer, "+describe(leaf)+",")
	}
	f.refused.add(err)
	return err
}

// judge verifies a chain, leaf first, for every one of the usages. The subject of an error's sentence is given.
func (f *Files) judge(s *filesState, chain []*x509.Certificate, usages []x509.ExtKeyUsage, name, subject string) error {
	leaf := chain[0]
	// Roots left nil would mean those of the operating system.
	if s.pool == nil {
		return fmt.Errorf("%s is %w: no CA file is configured", subject, ErrAuthority)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	now := f.config.Clock()
	for _, usage := range usages {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: s.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return explain(err, leaf, usage, now, subject, f.config.CAFile)
		}
	}
	if name != "" && !slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return matchName(name, n) }) {
		return fmt.Errorf("%s is %w: it carries no DNS name %s; issue it with that name, or set --route-tls-name alike on all nodes",
			subject, ErrName, name)
	}
	return nil
}

// judgeAlone verifies what can be without a CA.
func (f *Files) judgeAlone(leaf *x509.Certificate, usage x509.ExtKeyUsage, subject string) error {
	if err := inTime(leaf, f.config.Clock(), subject); err != nil {
		return err
	}
	// A certificate without any extended usage is for all of them.
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, usage) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return usageError(usage, subject)
	}
	return nil
}

// explain turns what the standard library says into what is wrong and what to do about it.
func explain(err error, leaf *x509.Certificate, usage x509.ExtKeyUsage, now time.Time, subject, caFile string) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && !invalid.Cert.Equal(leaf) {
			subject = fmt.Sprintf("%s is not usable: its CA, %s,", subject, describe(invalid.Cert))
			leaf = invalid.Cert
		}
		if err := inTime(leaf, now, subject); err != nil {
			return err
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return usageError(usage, subject)
	case errors.As(err, &unknown):
		return fmt.Errorf("%s is %w: none in %s issued it (its issuer is %q); use a certificate of that CA, or, while CAs rotate, list both in that file",
			subject, ErrAuthority, caFile, leaf.Issuer)
	}
	return fmt.Errorf("%s is %w: %s", subject, ErrCertificate, err.Error())
}

func usageError(usage x509.ExtKeyUsage, subject string) error {
	text := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "server authentication", x509.ExtKeyUsageClientAuth: "client authentication"}[usage]
	return fmt.Errorf("%s is %w: it lacks the extended usage %q; issue it anew with that (certificates of routes need server and client authentication)",
		subject, ErrUsage, text)
}

func inTime(c *x509.Certificate, now time.Time, subject string) error {
	at := now.UTC().Format(time.RFC3339)
	if now.Before(c.NotBefore) {
		return fmt.Errorf("%s is %w: its time begins at %s and it is %s here; is a clock wrong?", subject, ErrNotYetValid, c.NotBefore.UTC().Format(time.RFC3339), at)
	}
	if now.After(c.NotAfter) {
		return fmt.Errorf("%s has %w: its time ended at %s and it is %s here; renew it, or set the clock if that is wrong",
			subject, ErrExpired, c.NotAfter.UTC().Format(time.RFC3339), at)
	}
	return nil
}

// describe names a certificate in one short phrase. What a stranger wrote into it is quoted and cut.
func describe(c *x509.Certificate) string {
	name := strings.Join(append([]string{c.Subject.String()}, c.DNSNames...), " ")
	return fmt.Sprintf("%.120q serial %.40s", name, c.SerialNumber.Text(16))
}

func certificates(pair *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}

// refusals count refused peers by reason.
type refusals struct {
	mu sync.Mutex
	by map[string]uint64
}

func (r *refusals) add(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]uint64{}
	}
	for _, reason := range []error{ErrNoCertificate, ErrExpired, ErrNotYetValid, ErrAuthority, ErrUsage, ErrName, ErrCertificate, ErrCrowd} {
		if errors.Is(err, reason) {
			r.by[reason.Error()]++
			return
		}
	}
}

// Refused returns how many peers were refused since the start, by reason (the text of this package's errors). Reasons that never
// occurred are not in it.
func (f *Files) Refused() map[string]uint64 {
	f.refused.mu.Lock()
	defer f.refused.mu.Unlock()
	return maps.Clone(f.refused.by)
}
