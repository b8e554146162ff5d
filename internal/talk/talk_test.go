// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/natstest"
)

// TestAdminsAtWork: users, rooms, members and classes, from nothing to nothing.
func TestAdminsAtWork(t *testing.T) {
	b := mustBus(t)
	mustRun(t, "context", "use", "root")
	carl := strings.TrimSpace(mustRun(t, "key", "new", "--out", b.file("carl")))
	steps := []struct{ out, args string }{
		{"carl\n", "user add carl " + carl + " -o name"},
		{"ann\nbob\ncarl\nroot\n", "user list -o name"},
		{"carl\n", "user admin carl on -o name"},
		{"admin: true\n", "user show carl -o yaml"},
		{"diary\n", "class set diary --messages 50 --bytes 1MiB -o name"},
		{"diary\n", "class set diary --age 0 -o name"},
		{`"maxMessagesPerRoom": 50`, "class show diary -o json"},
		{"diary\nkept\n", "class list -o name"},
		{"tea\n", "room create tea --class diary -o name"},
		{"alarms\nkitchen\ntea\n", "room list -o name"},
		{`"class": "diary"`, "room show tea -o json"},
		{"carl\n", "member add tea carl --role reader -o name"},
		{"role: admin\n", "member set tea carl --role admin -o yaml"},
		{"carl\n", "member list tea -o name"},
		{"", "member remove tea carl --yes"},
		{"", "room delete tea --yes"},
		{"", "user admin carl off -o name"},
		{"", "user remove carl --yes"},
		{"ann\nbob\nroot\n", "user list -o name"},
		{carl, "audit -o json"},
	}
	for _, s := range steps {
		if out := mustRun(t, strings.Fields(s.args)...); !strings.Contains(out, s.out) {
			t.Errorf("unibus %s printed %q, want %q in it", s.args, out, s.out)
		}
	}
	if out := mustRun(t, "audit", "--last", "3", "-o", "name"); strings.Count(out, "\n") != 3 {
		t.Errorf("three entries of the audit are %q", out)
	}
}

// TestWhatGoesWrong: each failure has its exit code, and words that name the thing and the remedy.
func TestWhatGoesWrong(t *testing.T) {
	b := mustBus(t)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	open := b.file("open")
	seed, err := os.ReadFile(b.file("ann"))
	must(err)
	must(os.WriteFile(open, seed, 0o600))
	must(os.Chmod(open, 0o644))
	stranger := b.file("stranger")
	mustRun(t, "key", "new", "--out", stranger)
	for _, c := range []struct {
		code        int
		words, args string
	}{
		{console.ExitFailed, "never overwritten", "key new --out " + stranger},
		{console.ExitFailed, "chmod 600", "key show " + open},
		{console.ExitUsage, `"xml" is not one of table, json, yaml, name`, "user list -o xml"},
		{console.ExitFailed, "there is no context", "send kitchen hello --context nobody"},
		{console.ExitFailed, "forbidden", "user list"},
		{console.ExitFailed, "room nowhere: ", "room show nowhere"},
		{console.ExitFailed, "room kitchen: it is there already; see it with: unibus room show kitchen", "room create kitchen --context root"},
		{console.ExitFailed, "there already; change the role with: unibus member set kitchen ann --role reader", "member add kitchen ann --role reader --context root"},
		{console.ExitFailed, "unibus user add NAME U", "send kitchen hello --key " + stranger},
		{console.ExitFailed, "token", "room list --key " + stranger},
		{console.ExitFailed, "unibus key new", "room list --key /nowhere"},
		{console.ExitFailed, "ask one of its admins", "send nowhere hello"},
		{console.ExitFailed, "keeps no history", "history alarms"},
		{console.ExitFailed, "keeps no history", "tail alarms --from 3"},
		{console.ExitUsage, "use one of them", "history kitchen --from 1 --last 2"},
		{console.ExitUsage, "--ledger is needed", "writer kitchen"},
		{console.ExitUsage, "--ledger is needed", "verify kitchen"},
		{console.ExitUsage, "--since", "history kitchen --since yesterday"},
		{console.ExitUsage, "--from 0", "history kitchen --from 0"},
		{console.ExitUsage, "--last", "tail kitchen --last 1001"},
		{console.ExitUsage, "--count", "tail kitchen --count -1"},
		{console.ExitUsage, "--limit", "history kitchen --limit -1"},
		{console.ExitFailed, "nobody in the room", "request kitchen anyone?"},
		{console.ExitFailed, "member list kitchen", "request kitchen hello --to nobody"},
		{console.ExitUsage, "either -- COMMAND, or --echo", "reply kitchen"},
		{console.ExitUsage, "--limit 0s: use a time above 0", "reply kitchen --echo --limit 0"},
		{console.ExitUsage, "--life", "token --life 1h"},
		{console.ExitRefused, "--yes", "context remove bob"},
		{console.ExitRefused, "--yes", "member remove kitchen ann"},
		{console.ExitFailed, "in-use", "class delete kept --yes --context root"},
		{console.ExitFailed, "last-admin", "user admin root off --context root"},
		{console.ExitUsage, "not a public user nkey", "user add dora SUDORA --context root"},
		{console.ExitUsage, "say on or off", "user admin ann maybe --context root"},
		{console.ExitUsage, "--role", "member set kitchen ann --role king"},
		{console.ExitFailed, "unibus user show", "user add other " + b.key("ann") + " --context root"},
		{console.ExitFailed, "already", "context add ann --server nats://127.0.0.1:1 --key " + b.file("ann")},
		{console.ExitFailed, "refused; see that a node runs at nats://127.0.0.1:1 and can be reached from here", "send kitchen hello --server nats://127.0.0.1:1"},
		{console.ExitFailed, "not secure", "room list --api http://bus.example:1"},
		{console.ExitFailed, "keeps no history", "writer alarms --ledger " + b.file("l")},
		{console.ExitFailed, "no ledger of unibus writer", "verify kitchen --ledger " + b.file("ann")},
		{console.ExitFailed, "take another file", "writer kitchen --ledger " + b.file("ann")},
	} {
		expectFailure(t, c.code, c.words, strings.Fields(c.args)...)
	}
	if got, err := os.ReadFile(b.file("ann")); err != nil || string(got) != string(seed) {
		t.Errorf("a seed that was given as a ledger was changed: %v", err)
	}
}

// TestNoSeedIsRepeated: who gives a seed where its file is wanted is told so, in words that have nothing of it.
func TestNoSeedIsRepeated(t *testing.T) {
	b := mustBus(t)
	seed, err := os.ReadFile(b.file("ann"))
	b.must(err)
	text := strings.TrimSpace(string(seed))
	for args, want := range map[string]int{"key show " + text: console.ExitFailed, "context add x --server nats://127.0.0.1:1 --key " + text: console.ExitFailed,
		"room list --key " + text: console.ExitFailed, "doctor --key " + text[:len(text)-1]: console.ExitFailed, "user add x " + text: console.ExitUsage} {
		code, out, said := invoke(t, "", strings.Fields(args)...)
		if all := out + said; code != want || strings.Contains(all, text[2:20]) || !strings.Contains(all, "seed") && !strings.Contains(all, "public user nkey") {
			t.Errorf("unibus %s: exit code %d, want %d: %s", args[:12], code, want, all)
		}
	}
}

// TestAnotherCluster: who poses as the API, or a bus made anew at the same place, is told apart.
func TestAnotherCluster(t *testing.T) {
	b := mustBus(t)
	b.become("another")
	expectFailure(t, console.ExitFailed, "another cluster answers", "room", "list")
	expectFailure(t, console.ExitFailed, "is cluster another, not mine", "context", "add", "new", "--api", b.url, "--key", b.file("ann"), "--cluster-id", "mine")
	if out := mustRun(t, "room", "list", "--cluster-id", "another", "-o", "name"); !strings.Contains(out, "kitchen") {
		t.Errorf("the flag does not beat the context: %q", out)
	}
}

// TestClassOfADeletedRoom: a class can be deleted right after its last room, of which something is left for a moment.
func TestClassOfADeletedRoom(t *testing.T) {
	b := mustBus(t)
	mustRun(t, "context", "use", "root")
	mustRun(t, "class", "set", "diary")
	mustRun(t, "room", "create", "tea", "--class", "diary")
	expectFailure(t, console.ExitFailed, "in-use", "class", "delete", "diary", "--yes")
	mustRun(t, "room", "delete", "tea", "--yes")
	waiting := mustStart(t, "class", "delete", "diary", "--yes")
	waiting.awaits("a room of class diary is still being deleted")
	impatient := mustStart(t, "class", "delete", "diary", "--yes")
	impatient.awaits("still being deleted; it is waited for")
	impatient.interrupt()
	impatient.ends(console.ExitInterrupted)
	tea, err := b.store.GetRoom(t.Context(), "tea")
	b.must(err)
	b.must(b.store.FinishDeletion(t.Context(), tea.Value))
	waiting.ends(console.ExitDone)
	waiting.awaits("class diary is removed")
}

// TestNoUpdateIsLost: of changes of one class at the same time each is there at the end.
func TestNoUpdateIsLost(t *testing.T) {
	mustBus(t)
	mustRun(t, "context", "use", "root")
	for n := range 10 {
		var all sync.WaitGroup
		for _, change := range []string{"--messages " + fmt.Sprint(100+n), "--user-rate " + fmt.Sprint(200+n), "--room-rate " + fmt.Sprint(300+n)} {
			all.Go(func() {
				if code, _, said := invoke(t, "", append([]string{"class", "set", "kept"}, strings.Fields(change)...)...); code != 0 {
					t.Errorf("%s: exit code %d: %s", change, code, said)
				}
			})
		}
		all.Wait()
		var c v1.Class
		if err := json.Unmarshal([]byte(mustRun(t, "class", "show", "kept", "-o", "json")), &c); err != nil {
			t.Fatal(err)
		}
		if c.MaxMessagesPerRoom != int64(100+n) || c.PublisherRate != float64(200+n) || c.RoomRate != float64(300+n) {
			t.Fatalf("round %d: a change is lost: %+v", n, c)
		}
	}
}

// TestWhatWasAskedFor: what is removed is what the question told of; if it was changed since, it stays.
func TestWhatWasAskedFor(t *testing.T) {
	b := mustBus(t)
	var said bytes.Buffer
	s := &session{options: &options{yes: true, timeout: natstest.Patience}, ctx: t.Context(), bus: contexts.Context{API: b.url, Key: b.file("root")}, notice: &said}
	defer s.close()
	err := removing(s, "user ann",
		func(ctx context.Context, api *client.API) (string, client.ETag, error) {
			_, tag, err := api.User(ctx, "ann")
			mustRun(t, "user", "admin", "ann", "on", "--context", "root") // while the question is read
			return "Remove user ann?", tag, err
		},
		func(ctx context.Context, api *client.API, tag client.ETag) error {
			return api.DeleteUser(ctx, "ann", tag)
		})
	if !errors.Is(err, client.ErrConflict) {
		t.Errorf("who has become an admin meanwhile is removed: %v", err)
	}
	mustRun(t, "user", "show", "ann", "--context", "root")
}

// TestTokenForCurl: the token is taken by the API.
func TestTokenForCurl(t *testing.T) {
	b := mustBus(t)
	for _, life := range []string{"5m", "30s"} {
		token := strings.TrimSpace(mustRun(t, "token", "--life", life))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+v1.PathRooms, nil)
		b.must(err)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		b.must(err)
		var all v1.Rooms
		err = json.NewDecoder(resp.Body).Decode(&all)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || len(all.Rooms) != 2 {
			t.Errorf("a token for %s: %s, %+v, %v", life, resp.Status, all, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestEnvironmentAndFlags: a flag beats the environment, which beats the context.
func TestEnvironmentAndFlags(t *testing.T) {
	b := mustBus(t)
	me := func(args ...string) string {
		return strings.TrimSpace(mustRun(t, append([]string{"member", "list", "kitchen", "-o", "name"}, args...)...))
	}
	t.Setenv("UNIBUS_CONTEXT", "bob")
	t.Setenv("UNIBUS_API", "http://127.0.0.1:1")
	expectFailure(t, console.ExitFailed, "127.0.0.1:1", "room", "list")
	if got := me("--api", b.url); got != "ann\nbob" {
		t.Errorf("with flags: %q", got)
	}
	t.Setenv("UNIBUS_API", b.url)
	t.Setenv("UNIBUS_KEY", b.file("root"))
	if got := mustRun(t, "user", "list", "-o", "name"); !strings.Contains(got, "root") {
		t.Errorf("with the key of the environment: %q", got)
	}
	expectFailure(t, console.ExitFailed, "forbidden", "user", "list", "--key", b.file("ann"))
}

var changing = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`U[A-Z2-7]{55}`), "KEY"}, {regexp.MustCompile(`U[A-Z2-7]{9}…`), "KEY…"}, {regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "ROOM"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"}, {regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b\w{22}\.\d+\b`), "ID"},
}

var wide = regexp.MustCompile(` {2,}`)

// TestFormats holds what is printed in each format against testdata.
func TestFormats(t *testing.T) {
	b := mustBus(t)
	mustRun(t, "send", "kitchen", "tea is ready\x1b[31m")
	mustRun(t, "send", "kitchen", "thank you", "--context", "bob")
	var got strings.Builder
	for _, args := range []string{"context list", "context show", "user show ann --context root", "room list", "member list kitchen", "class list", "class show kept",
		"history kitchen", "tail kitchen --count 2"} {
		for _, format := range formats {
			out := mustRun(t, strings.Fields(args+" -o "+format)...)
			for _, c := range changing {
				out = c.what.ReplaceAllString(strings.ReplaceAll(out, filepath.Dir(mustPath(t)), "FOLDER"), c.by)
			}
			if format == console.FormatTable { // columns are as wide as what is in them
				out = wide.ReplaceAllString(out, "  ")
			}
			fmt.Fprintf(&got, "$ unibus %s -o %s\n%s\n", args, format, out)
		}
	}
	const golden = "testdata/formats.golden"
	if os.Getenv("GOLDEN") != "" {
		b.must(os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	b.must(err)
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("what is printed differs; GOLDEN=1 writes it anew (-want +got):\n%s", d)
	}
}
