// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"crypto/ed25519"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// with changes an order.
func with(o v1.Order, change func(*v1.Order)) v1.Order {
	change(&o)
	return o
}

func TestOrdersOfAnEmptyDisk(t *testing.T) {
	f := MustOpen(t, testConfig(t.TempDir()))
	for _, kind := range []v1.OrderKind{v1.OrderResume, v1.OrderLeave, v1.OrderRetire} {
		ExpectCode(t, f, order(f, kind, "a-1"), v1.CodeState)
	}
	ExpectCode(t, f, with(order(f, v1.OrderWipeAndJoin, "a-2"), func(o *v1.Order) { o.Old = "a-1" }), v1.CodeState)
	found := order(f, v1.OrderFound, "a-1")
	ExpectCode(t, f, with(found, func(o *v1.Order) { o.DiskID = strings.Repeat("ab", 16) }), v1.CodeDisk)
	ExpectCode(t, f, with(found, func(o *v1.Order) { o.Nonce = "n" }), v1.CodeNonce)
	ExpectCode(t, f, with(found, func(o *v1.Order) { o.ServerName = embeddednats.HelperName }), v1.CodeName)
	MustTake(t, f, found)
	s := f.Status()
	if s.Phase != v1.NodeStarting || !s.Founding || s.ClusterID != "c1" || s.ServerName != "a-1" || s.Nonce == found.Nonce {
		t.Errorf("after found: %+v", s)
	}
	ExpectCode(t, f, found, v1.CodeNonce)                           // repeated
	ExpectCode(t, f, order(f, v1.OrderFound, "a-1"), v1.CodeState)  // a second time
	ExpectCode(t, f, order(f, v1.OrderJoin, "a-2"), v1.CodeState)   // as another
	ExpectCode(t, f, order(f, v1.OrderResume, "a-1"), v1.CodeState) // it does not wait
	ExpectCode(t, f, order(f, v1.OrderWipeAndJoin, "a-2"), v1.CodeState)
}

func TestOrderOfAnEarlierBootIsLate(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustOpen(t, cfg)
	late := order(f, v1.OrderFound, "a-1")
	MustClose(t, f)
	f = MustOpen(t, cfg)
	ExpectCode(t, f, late, v1.CodeNonce)
}

func TestOrderOnANonceIsTakenOnce(t *testing.T) {
	f := MustOpen(t, testConfig(t.TempDir()))
	o := order(f, v1.OrderJoin, "a-1")
	// The first order is written, but not taken yet, when the second one comes.
	written, second := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	f.disk.step = func(point string) error {
		if point == identityFile+": durable" {
			once.Do(func() {
				close(written)
				select {
				case err := <-second:
					second <- err
				case <-time.After(200 * time.Millisecond): // it waits for the first, as it must
				}
			})
		}
		return nil
	}
	go func() {
		<-written
		second <- take(f, o)
	}()
	MustTake(t, f, o)
	var refused *v1.Error
	if err := <-second; !errors.As(err, &refused) || refused.Code != v1.CodeNonce {
		t.Errorf("the same order at the same time: %v", err)
	}
}

func TestOrdersNeedTheSignature(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustOpen(t, cfg)
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
	good, _ := order(f, v1.OrderFound, "a-1").Sign(testSign)
	wrong, _ := order(f, v1.OrderFound, "a-1").Sign(func(m []byte) ([]byte, error) { return ed25519.Sign(other, m), nil })
	garbled := v1.SignedOrder{Order: append([]byte(" "), good.Order...), Signature: good.Signature}
	for name, s := range map[string]v1.SignedOrder{"wrong key": wrong, "unsigned": {Order: good.Order}, "garbled": garbled, "empty": {}} {
		var refused *v1.Error
		if err := f.Take(s); !errors.As(err, &refused) || refused.Code != v1.CodeUnsigned {
			t.Errorf("%s: %v", name, err)
		}
	}
	MustClose(t, f)
	cfg.Verify = nil
	f = MustOpen(t, cfg)
	ExpectCode(t, f, order(f, v1.OrderFound, "a-1"), v1.CodeUnsigned)
	if s := f.Status(); s.ServerName != "" {
		t.Errorf("an unsigned order was taken: %+v", s)
	}
}

func TestOrdersOfADiskWithAnIdentity(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustMember(t, cfg)
	leave := order(f, v1.OrderLeave, "a-1")
	ExpectCode(t, f, with(leave, func(o *v1.Order) { o.ClusterID = "c2" }), v1.CodeCluster)
	ExpectCode(t, f, with(leave, func(o *v1.Order) { o.ServerName = "a-2" }), v1.CodeName)
	ExpectCode(t, f, order(f, v1.OrderFound, "a-2"), v1.CodeState)
	ExpectCode(t, f, order(f, v1.OrderJoin, "a-2"), v1.CodeState)
	ExpectCode(t, f, order(f, v1.OrderWipeAndJoin, "a-2"), v1.CodeState) // it does not wait
	ExpectCode(t, f, order(f, v1.OrderResume, "a-1"), v1.CodeState)      // neither does this
	MustTake(t, f, leave)
	MustTake(t, f, order(f, v1.OrderLeave, "a-1")) // twice is as good as once
	if s := f.Status(); s.Mark != v1.MarkLeaving || s.Phase == v1.NodeWaiting {
		t.Errorf("after leave: %+v", s)
	}
	MustClose(t, f)

	f = MustOpen(t, cfg)
	if s := f.Status(); s.Mark != v1.MarkLeaving || s.Phase != v1.NodeWaiting {
		t.Errorf("next boot after leave: %+v", s)
	}
	ExpectCode(t, f, order(f, v1.OrderFound, "a-2"), v1.CodeState) // it waits, and is not empty
	ExpectCode(t, f, order(f, v1.OrderJoin, "a-2"), v1.CodeState)
	MustTake(t, f, with(order(f, v1.OrderResume, "a-1"), func(o *v1.Order) { o.KeepMark = true }))
	if s := f.Status(); s.Mark != v1.MarkLeaving || s.Phase != v1.NodeStarting {
		t.Errorf("after resume with the mark kept: %+v", s)
	}
	MustClose(t, f)

	f = MustOpen(t, cfg)
	MustTake(t, f, order(f, v1.OrderResume, "a-1"))
	if s := f.Status(); s.Mark != "" || s.Phase != v1.NodeStarting {
		t.Errorf("after resume: %+v", s)
	}
	MustTake(t, f, order(f, v1.OrderRetire, "a-1"))
	ExpectCode(t, f, order(f, v1.OrderLeave, "a-1"), v1.CodeState) // a mark that can be taken back does not replace it
	MustClose(t, f)

	f = MustOpen(t, cfg)
	ExpectCode(t, f, order(f, v1.OrderResume, "a-1"), v1.CodeState)
	wipe := order(f, v1.OrderWipeAndJoin, "a-2")
	ExpectCode(t, f, with(wipe, func(o *v1.Order) { o.Old = "a-0" }), v1.CodeName)
	ExpectCode(t, f, with(wipe, func(o *v1.Order) { o.ClusterID = "c2" }), v1.CodeCluster)
	MustTake(t, f, wipe)
	if s := f.Status(); !s.Journal || s.ServerName != "a-1" || s.Phase != v1.NodeStarting {
		t.Errorf("after wipe-and-join: %+v", s)
	}
	for _, o := range []v1.Order{order(f, v1.OrderWipeAndJoin, "a-3"), order(f, v1.OrderRetire, "a-1"), order(f, v1.OrderResume, "a-1"), order(f, v1.OrderFound, "a-3")} {
		ExpectCode(t, f, o, v1.CodeState)
	}
}

func TestDeniedNames(t *testing.T) {
	cfg := testConfig(t.TempDir())
	var denied []string
	cfg.Denied = func() []string { return denied }
	f := MustOpen(t, cfg)
	denied = []string{"a-1"}
	ExpectCode(t, f, order(f, v1.OrderJoin, "a-1"), v1.CodeName)
	denied = nil
	MustClose(t, f)
	MustClose(t, MustMember(t, cfg))
	denied = []string{"a-0", "a-1"}
	f = MustOpen(t, cfg)
	if s := f.Status(); s.Phase != v1.NodeWaiting || s.Mark != "" {
		t.Errorf("boot of a denied name: %+v", s)
	}
	ExpectCode(t, f, order(f, v1.OrderWipeAndJoin, "a-0"), v1.CodeName)
	MustTake(t, f, order(f, v1.OrderResume, "a-1"))
	if s := f.Status(); s.Phase != v1.NodeStarting {
		t.Errorf("after resume of a denied name: %+v", s)
	}
}

func TestConfiguredNameAndIDBindOrders(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.ServerName, cfg.ClusterID = "a-1", "c1"
	f := MustOpen(t, cfg)
	ExpectCode(t, f, order(f, v1.OrderJoin, "a-2"), v1.CodeName)
	ExpectCode(t, f, with(order(f, v1.OrderJoin, "a-1"), func(o *v1.Order) { o.ClusterID = "c2" }), v1.CodeCluster)
	MustTake(t, f, order(f, v1.OrderJoin, "a-1"))
}

// TestResumeIsGoodForOneStart: what a resume allowed may be wrong by the time of a second attempt.
func TestResumeIsGoodForOneStart(t *testing.T) {
	cfg := testConfig(t.TempDir())
	attempts := 0
	inner := cfg.Server
	cfg.Server = func(name, id string, routes []*url.URL) (embeddednats.ServerConfig, error) {
		attempts++ // by one goroutine; read once it waits again
		return inner(name, id, routes)
	}
	f := MustMember(t, cfg)
	MustTake(t, f, order(f, v1.OrderLeave, "a-1"))
	MustClose(t, f)
	f = MustOpen(t, cfg)
	attempts = 0
	MustRun(t, f)
	MustTake(t, f, with(order(f, v1.OrderResume, "a-1"), func(o *v1.Order) { o.KeepMark = true }))
	ExpectSoon(t, "it waits again, with the reason", func() bool {
		s := f.Status()
		return s.Phase == v1.NodeWaiting && strings.Contains(s.Reason, "no server in this test")
	})
	if attempts != 1 {
		t.Errorf("%d attempts to start for one resume order", attempts)
	}
}
