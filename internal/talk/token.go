// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

func newToken() *cobra.Command {
	o := &options{}
	var life time.Duration
	c := o.printed(o.linked(&cobra.Command{
		Use: "token", Short: "Print a token for the HTTP API, for programs such as curl", Args: cobra.NoArgs,
		Long: `The token proves who you are to this cluster's HTTP API until it expires. It is signed here; your key goes nowhere. It is a secret
while it lives: whoever has it acts as you.`,
		Example: `  curl --cacert ca.crt -H "Authorization: Bearer $(unibus token)" https://bus.example:8223/v1/rooms`,
	}))
	c.Flags().DurationVar(&life, "life", v1.MaxTokenLife, "how long the token is good, at most "+v1.MaxTokenLife.String())
	c.RunE = run(o, func(s *session, _ []string) error {
		if life < time.Second || life > v1.MaxTokenLife {
			return console.Failf(console.ExitUsage, "--life %v: use 1s to %v", life, v1.MaxTokenLife)
		}
		token, until, err := s.token(time.Now(), life)
		if err != nil {
			return err
		}
		if o.output == console.FormatTable || o.output == console.FormatName {
			_, err := fmt.Fprintln(s.out, token)
			return err
		}
		return console.Encode(s.out, o.output, struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		}{token, until})
	})
	return c
}

// token makes a token for the cluster that the context is of. Without one, the API is asked which it is.
func (s *session) token(now time.Time, life time.Duration) (token string, until time.Time, err error) {
	cluster := s.bus.ClusterID
	if cluster == "" {
		api, err := s.api()
		if err != nil {
			return "", until, err
		}
		if err := s.within("the cluster's id", func(ctx context.Context) error {
			c, err := api.Cluster(ctx)
			cluster = c.ID
			return err
		}); err != nil {
			return "", until, err
		}
	}
	key := client.SeedFile(s.bus.Key)
	user, err := key.PublicKey()
	if err != nil {
		return "", until, err
	}
	until = now.Add(life).Truncate(time.Second)
	token, err = client.SignToken(key, v1.Token{Subject: user, Audience: cluster, IssuedAt: now.Unix(), Expires: until.Unix()})
	return token, until.UTC(), err
}
