// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
)

// What is killed is found by its folder and cgroup: another cluster, whose name begins alike, must not be found.
func TestInitIsKnownByItsFolder(t *testing.T) {
	const dir = "/root/.cache/unibus-devcluster/run/a/room"
	for line, want := range map[string]bool{
		"/usr/bin/devcluster\x00internal-machine\x00" + dir + "\x00":     true,
		"/proc/self/exe\x00internal-machine\x00" + dir + "\x00":          true,
		"/usr/bin/devcluster\x00internal-machine\x00" + dir + "2\x00":    false,
		"/usr/bin/devcluster\x00internal-machine\x00/elsewhere/room\x00": false,
		"vi\x00internal-machine\x00" + dir + "\x00more\x00":              false,
		"grep internal-machine " + dir + "\x00":                          false,
		"devcluster\x00down\x00--dir\x00" + dir + "\x00":                 false,
		"": false,
	} {
		if got := isInit([]byte(line), dir); got != want {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}

func TestMembersAreKnownByTheirCgroup(t *testing.T) {
	for text, want := range map[string]bool{
		"4:memory:/devcluster.a/node1/k8s.io/0123\n0::/\n": true,
		"4:memory:/\n0::/devcluster.a\n":                   true,
		"0::/devcluster.ab/node1\n":                        false,
		"0::/other/devcluster.a/node1\n":                   false,
		"1:name=systemd:/devcluster.a/room\n":              true,
		"":                                                 false,
	} {
		if got := inCgroup(text, "devcluster.a"); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestHierarchies(t *testing.T) {
	v1 := `22 1 254:0 / / rw - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,release_agent=/lib/agent,name=systemd
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
`
	want := []hierarchy{
		{"/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct"},
		{"/sys/fs/cgroup/systemd", "cgroup", "name=systemd"},
		{"/sys/fs/cgroup/unified", "cgroup2", ""},
	}
	if diff := cmp.Diff(want, mustHierarchies(t, v1), cmp.AllowUnexported(hierarchy{})); diff != "" {
		t.Error(diff)
	}
	v2 := "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	want = []hierarchy{{"/sys/fs/cgroup", "cgroup2", ""}}
	if diff := cmp.Diff(want, mustHierarchies(t, v2), cmp.AllowUnexported(hierarchy{})); diff != "" {
		t.Error(diff)
	}
}

func mustHierarchies(t *testing.T, text string) []hierarchy {
	t.Helper()
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return hierarchiesOf(mounts)
}
