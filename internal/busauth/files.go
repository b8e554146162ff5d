// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile is the size limit of a certificate, key or CA file in bytes.
const maxFile = 1 << 20

// FilesConfig names the files of one TLS endpoint.
type FilesConfig struct {
	// CertFile holds the certificate chain, leaf first, and KeyFile its private key, in PEM. Required.
	CertFile, KeyFile string
	// CAFile holds the CA certificates that peers are verified against, in PEM. Required where peers present a certificate.
	CAFile string
	// Name is what certificates of routes must carry; see DefaultName.
	Name string
	// Clock is the time that certificates are judged by. Nil is time.Now.
	Clock func() time.Time
	// Logger is told of rotations and of files that can't be used. Nil discards.
	Logger *slog.Logger
}

// Files are a certificate, its key and the trusted CAs as the files have them now. Every handshake reads the files, so that a
// rotation needs no reload: a reload would disconnect every live client. What can't be used (half-rotated, half-written, gone)
// leaves what was last good in force; Problem tells.
type Files struct {
	config  FilesConfig
	mu      sync.Mutex // held while the files are loaded
	state   atomic.Pointer[filesState]
	refused refusals
}

// filesState is immutable.
type filesState struct {
	seen    contents
	pair    *tls.Certificate // with Leaf
	cas     []*x509.Certificate
	pool    *x509.CertPool
	problem error // of what was seen last
}

// contents are the bytes of the three files.
type contents struct{ cert, key, ca []byte }

func (c contents) equal(d contents) bool {
	return bytes.Equal(c.cert, d.cert) && bytes.Equal(c.key, d.key) && bytes.Equal(c.ca, d.ca)
}

// NewFiles reads the files. It fails when one can't be read or parsed and when certificate and key are not a pair. Whether they
// are any good for their purpose is for CheckRoute and CheckServer.
func NewFiles(c FilesConfig) (*Files, error) {
	if c.CertFile == "" || c.KeyFile == "" {
		return nil, errors.New("TLS needs both a certificate file and a key file")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" {
		c.Name = DefaultName
	}
	if err := CheckName(c.Name); err != nil {
		return nil, err
	}
	f := &Files{config: c}
	s := f.load(&filesState{})
	if s.problem != nil {
		return nil, s.problem
	}
	f.state.Store(s)
	return f, nil
}

// Problem tells why the files can't be used as they are now, while older content is in force; nil when all is well. It reads them.
func (f *Files) Problem() error { return f.current().problem }

// current returns what is to be used now.
func (f *Files) current() *filesState {
	s := f.state.Load()
	if seen, err := f.read(); err == nil && seen.equal(s.seen) {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s = f.state.Load()
	next := f.load(s)
	f.tell(s, next)
	f.state.Store(next)
	return next
}

// load reads the files anew, over what was good before.
func (f *Files) load(last *filesState) *filesState {
	next := f.loadOnce(last)
	if next.problem != nil {
		// Caught between two writes of one rotation, or between two folders behind a symlink: look once more before saying so.
		next = f.loadOnce(last)
	}
	return next
}

func (f *Files) loadOnce(last *filesState) *filesState {
	next := *last
	seen, err := f.read()
	if err != nil {
		next.seen, next.problem = contents{}, err // whatever is there next is to be parsed, also if it is what was there before
		return &next
	}
	next.seen, next.problem = seen, nil
	if pair, err := parsePair(seen, f.config); err != nil {
		next.problem = err
	} else {
		next.pair = pair
	}
	if f.config.CAFile == "" {
		return &next
	}
	// The CAs are taken over by themselves: with a pair that is half-rotated, peers who rotated already are still recognised.
	if cas, err := parseCAs(seen.ca, f.config.CAFile); err != nil {
		next.problem = errors.Join(next.problem, err)
	} else {
		next.cas, next.pool = cas, x509.NewCertPool()
		for _, ca := range cas {
			next.pool.AddCert(ca)
		}
	}
	return &next
}

// tell logs a change, once.
func (f *Files) tell(last, next *filesState) {
	log := f.config.Logger.With("cert", f.config.CertFile)
	switch {
	case next.problem != nil && (last.problem == nil || last.problem.Error() != next.problem.Error()):
		log.Warn("certificate files can't be used, the last good ones stay in force", "error", next.problem)
	case next.problem == nil && (last.problem != nil || !next.seen.equal(last.seen)):
		log.Info("certificate files read anew", "expires", next.pair.Leaf.NotAfter)
	}
}

func (f *Files) read() (c contents, err error) {
	if c.cert, err = readFile("TLS certificate", f.config.CertFile); err != nil {
		return contents{}, err
	}
	if c.key, err = readFile("TLS key", f.config.KeyFile); err != nil {
		return contents{}, err
	}
	if f.config.CAFile == "" {
		return c, nil
	}
	if c.ca, err = readFile("TLS CA", f.config.CAFile); err != nil {
		return contents{}, err
	}
	return c, nil
}

func readFile(what, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s file: %w", what, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s file %s: %w", what, path, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s file %s is larger than %d bytes: is it the right file?", what, path, maxFile)
	}
	return b, nil
}

// parsePair never returns the key's bytes in an error.
func parsePair(c contents, config FilesConfig) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s and key %s are not a pair: %w; are they half rotated?", config.CertFile, config.KeyFile, err)
	}
	return &pair, nil
}

func parseCAs(b []byte, path string) ([]*x509.Certificate, error) {
	var cas []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("TLS CA file %s holds a %q: it must hold CA certificates only", path, block.Type)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("TLS CA file %s: certificate %d: %w", path, len(cas)+1, err)
		}
		if !ca.IsCA {
			return nil, fmt.Errorf("TLS CA file %s: certificate %d, %s, is not a CA's: name the CA's file, not the node's", path, len(cas)+1, describe(ca))
		}
		cas = append(cas, ca)
	}
	// What is left after the last block may be one that was cut off while the file is being written.
	if len(cas) == 0 || bytes.Contains(b, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("TLS CA file %s holds %d whole certificates and is empty or cut off", path, len(cas))
	}
	return cas, nil
}
