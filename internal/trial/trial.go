// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/file"
)

const (
	// Room is the room that is made, Class its history class.
	Room  = "lobby"
	Class = "chat"

	guest = "guest"
	// Admin and Guest are the contexts.
	Admin = "dev-admin"
	Guest = "dev-guest"

	// furnishLimit is how long a node may take until it is furnished, furnishPause between two attempts.
	furnishLimit = time.Minute
	furnishPause = 100 * time.Millisecond
	// lockLimit is how long another start is waited for: it writes two small files.
	lockLimit = 10 * time.Second
)

// Trial is what belongs to a node for trying out, in its folder.
type Trial struct {
	// AdminKey is the public key of who is to be its first admin.
	AdminKey string

	dir      string // its whole path
	guestKey string
}

// Open makes the folder and the keys that are not there yet.
func Open(ctx context.Context, dir string) (*Trial, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of a node for trying out: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of a node for trying out: %w", err)
	}
	t := &Trial{dir: dir}
	err = file.Locked(ctx, filepath.Join(dir, ".keys.lock"), lockLimit, func() (err error) {
		if t.AdminKey, err = key(t.seed(Admin)); err == nil {
			t.guestKey, err = key(t.seed(Guest))
		}
		return err
	})
	return t, err
}

func (t *Trial) seed(name string) string { return filepath.Join(t.dir, name+".nk") }

// key returns the public half of a key, which is made if it is not there.
func key(path string) (public string, err error) {
	if public, err = client.SeedFile(path).PublicKey(); !errors.Is(err, fs.ErrNotExist) {
		return public, err
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	seed = append(seed, '\n')
	defer clear(seed)
	if err := file.Write(path, seed, 0o600); err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// Furnish makes what is missing through the API of the node, as its admin, and returns the lines that open a chat, for a command line that
// is called unibus. server tells where clients connect to, and is empty until that is known. It goes on until the node takes it, at
// most for a minute.
func (t *Trial) Furnish(ctx context.Context, api, unibus string, server func() string) (lines []string, err error) {
	admin, err := client.NewAPI(client.Options{API: api, Key: client.SeedFile(t.seed(Admin))})
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, furnishLimit)
	defer cancel()
	for {
		last := errors.New("it does not run yet")
		if at := server(); at != "" {
			if last = t.make(ctx, admin); last == nil {
				return t.remember(ctx, admin, contexts.Context{Servers: []string{at}, API: api}, unibus)
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the node was not furnished with a room and a guest: %w; if %s has a bus with other admins, remove it or choose another --store-dir",
				last, t.dir)
		case <-time.After(furnishPause):
		}
	}
}

// make changes nothing that is there: the users may have made of it what they like.
func (t *Trial) make(ctx context.Context, admin *client.API) error {
	_, _, user := admin.PutUser(ctx, t.guestKey, v1.PutUser{Name: guest}, client.Absent)
	class := v1.Class{Name: Class, MaxBytes: 64 << 20, MaxMessagesPerRoom: 10_000, MaxMessageBytes: 64 << 10, Full: v1.FullRolls, PublisherRate: 100, RoomRate: 1000}
	_, _, kept := admin.PutClass(ctx, class, client.Absent)
	_, _, room := admin.PutRoom(ctx, Room, Class, client.Absent)
	_, _, first := admin.PutMember(ctx, Room, t.AdminKey, v1.RoleAdmin, client.Absent)
	_, _, second := admin.PutMember(ctx, Room, t.guestKey, v1.RoleMember, client.Absent)
	for _, err := range []error{user, kept, room, first, second} {
		if err != nil && !errors.Is(err, client.ErrExists) && !errors.Is(err, client.ErrConflict) {
			return err
		}
	}
	return nil
}

// errTaken is that a context of the name is somebody else's.
var errTaken = errors.New("taken")

// remember adds both contexts to those of the user. Where that can't be done without touching what is the user's own, they are put into
// a file of the folder.
func (t *Trial) remember(ctx context.Context, admin *client.API, c contexts.Context, unibus string) ([]string, error) {
	cluster, err := admin.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	c.ClusterID = cluster.ID
	add := func(f *contexts.File) error {
		for _, name := range []string{Admin, Guest} {
			c.Key = t.seed(name)
			switch had, ok := f.Contexts[name]; {
			case !ok:
				if err := f.Add(name, c); err != nil {
					return err
				}
			case had.Key == c.Key: // of an earlier start, maybe with other ports
				f.Contexts[name] = c
			default:
				return errTaken
			}
		}
		return nil
	}
	before := ""
	path, err := contexts.Path()
	if err == nil {
		err = contexts.Update(ctx, path, add)
	}
	if err != nil {
		path = filepath.Join(t.dir, "contexts.json")
		before = contexts.EnvFile + "=" + console.Word(path) + " "
		if err := contexts.Update(ctx, path, add); err != nil {
			return nil, err
		}
	}
	line := before + console.Word(unibus) + " chat " + Room + " --context "
	return []string{line + Admin, line + Guest}, nil
}

// Tell says how to talk on a node that is furnished.
func (t *Trial) Tell(w io.Writer, lines []string) error {
	_, err := fmt.Fprintf(w, `A node for trying out runs on this machine. Talk on it, each in a terminal of its own:

    %s

All that it keeps is in %s. Ctrl-C ends it; the same command goes on where it was.
`, strings.Join(lines, "\n    "), t.dir)
	return err
}
