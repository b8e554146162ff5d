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
	"slices"
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

	// lockFile keeps starts at the same time apart. furnished is a file with the id of the cluster that was furnished.
	lockFile  = ".keys.lock"
	furnished = "furnished"

	// furnishLimit is how long a node that runs may take until it is furnished, furnishPause is between two attempts.
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
	apart    error // why the contexts are in a file of the folder, nil if they are not
}

// Open makes the folder and the keys that are not there yet. It refuses a folder that has something else, such as another node's disk, and
// leaves it as it is.
func Open(ctx context.Context, dir string) (*Trial, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of a node for trying out: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of a node for trying out: %w", err)
	}
	t := &Trial{dir: dir}
	if err := t.own(); err != nil {
		return nil, err
	}
	err = file.Locked(ctx, filepath.Join(dir, lockFile), lockLimit, func() (err error) {
		if t.AdminKey, err = key(t.seed(Admin)); err == nil {
			t.guestKey, err = key(t.seed(Guest))
		}
		return err
	})
	return t, err
}

// own refuses a folder whose first file was not the key of the admin.
func (t *Trial) own() error {
	files, err := os.ReadDir(t.dir)
	if err != nil {
		return fmt.Errorf("folder of a node for trying out: %w", err)
	}
	begun := []string{lockFile, Admin + ".nk.new"} // a start that writes the key, or was ended while it did
	files = slices.DeleteFunc(files, func(f fs.DirEntry) bool { return slices.Contains(begun, f.Name()) })
	if len(files) == 0 {
		return nil
	}
	if _, err := os.Lstat(t.seed(Admin)); err != nil { // looked for after all else: another start may have written it meanwhile
		return fmt.Errorf("%s is not of a node for trying out: it has %s, but no key of its admin (%w); nothing was changed in it: choose another --store-dir",
			t.dir, files[0].Name(), err)
	}
	return nil
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

// Furnish makes a room and a guest through the API of the node, as its admin, unless that was done at an earlier start: then they are the
// users', who may have removed them. It returns the lines that open a chat, for a command line that is called unibus. server tells where
// clients connect to, and is empty until the node runs. From then on the node has a minute to take it.
func (t *Trial) Furnish(ctx context.Context, api, unibus string, server func() string) (lines []string, err error) {
	admin, err := client.NewAPI(client.Options{API: api, Key: client.SeedFile(t.seed(Admin))})
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	at := server()
	for ; at == ""; at = server() {
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("the node does not run: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, furnishLimit)
	defer cancel()
	for {
		id, last := t.furnish(ctx, admin)
		if last == nil {
			return t.remember(ctx, contexts.Context{Servers: []string{at}, API: api, ClusterID: id}, unibus)
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("the node was not furnished with a room and a guest: %w; if the bus in %s has other admins than its %s.nk, choose another --store-dir",
				last, t.dir, Admin)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(furnishPause):
		return nil
	}
}

// furnish returns the id of the cluster once it has been furnished, at this start or an earlier one, and knows its users.
func (t *Trial) furnish(ctx context.Context, admin *client.API) (id string, err error) {
	mark := filepath.Join(t.dir, furnished)
	before, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	cluster, err := admin.Cluster(ctx)
	if err != nil {
		return "", err
	}
	if cluster.ID == string(before) {
		_, _, err := admin.Room(ctx, Room) // it may be gone by now, and the admin too: a node that says so is ready
		if errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrToken) || errors.Is(err, client.ErrForbidden) {
			err = nil
		}
		return cluster.ID, err
	}
	if err := t.make(ctx, admin); err != nil {
		return "", err
	}
	return cluster.ID, file.Write(mark, []byte(cluster.ID), 0o600)
}

// make changes nothing that is there: a start that was ended before may have made it.
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

// remember adds both contexts to those of the user. Where that can't be done without touching what is the user's own, they are put into
// a file of the folder.
func (t *Trial) remember(ctx context.Context, c contexts.Context, unibus string) ([]string, error) {
	add := func(f *contexts.File) error {
		for _, name := range []string{Admin, Guest} {
			c.Key = t.seed(name)
			switch had, ok := f.Contexts[name]; {
			case !ok:
				if err := f.Add(name, c); err != nil {
					return err
				}
			case had.Key == c.Key, gone(had.Key, filepath.Base(c.Key)): // of an earlier start, maybe with other ports, or of a folder that is gone
				f.Contexts[name] = c
			default:
				return fmt.Errorf("there is a context %s already, whose key is %s", name, had.Key)
			}
		}
		return nil
	}
	before := ""
	path, err := contexts.Path()
	if err == nil {
		err = contexts.Update(ctx, path, add)
	}
	if t.apart = err; err != nil {
		path = filepath.Join(t.dir, "contexts.json")
		before = contexts.EnvFile + "=" + console.Word(path) + " "
		if err := contexts.Update(ctx, path, add); err != nil {
			return nil, err
		}
	}
	line := before + console.Word(unibus) + " chat " + Room + " --context "
	return []string{line + Admin, line + Guest}, nil
}

// gone says that a key is of that name and its file is not there any more, so that no one can use its context.
func gone(key, name string) bool {
	_, err := os.Lstat(key)
	return filepath.IsAbs(key) && filepath.Base(key) == name && errors.Is(err, fs.ErrNotExist)
}

// Tell says how to talk on a node that is furnished.
func (t *Trial) Tell(w io.Writer, lines []string) error {
	why := ""
	if t.apart != nil {
		why = fmt.Sprintf("The contexts of these lines are not among yours: %v.\n", t.apart)
	}
	_, err := fmt.Fprintf(w, `A node for trying out runs on this machine. Talk on it, each in a terminal of its own:

    %s

%sAll that it keeps is in %s. Ctrl-C ends it; the same command goes on where it was.
`, strings.Join(lines, "\n    "), why, t.dir)
	return err
}
