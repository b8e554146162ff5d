// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"net/url"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// ServerURLs are the URLs that Servers give, and whether TLS is demanded of all of them: it is as soon as one is off loopback or given as
// tls://host:port, and with CAs. It fails with ErrInvalid, and repeats nothing of what it fails for, which may hold a password.
func (o Options) ServerURLs() (all []*url.URL, secure bool, err error) {
	texts, secure, err := o.servers()
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			return nil, false, fmt.Errorf("%w: a server's URL", ErrInvalid)
		}
		all = append(all, u)
	}
	return all, secure, err
}

// APIURLs are the base URLs that API gives. It fails with ErrInvalid and ErrInsecure, and repeats nothing of what it fails for.
func (o Options) APIURLs() ([]*url.URL, error) { return o.apis() }

// SignToken makes a token for "Authorization: Bearer ..." of claims of one's own; API.Token makes the usual ones. It fails with what the signer
// fails with, ErrBadKey for a SeedFile.
func SignToken(key Signer, claims v1.Token) (string, error) { return sign(key, claims) }
