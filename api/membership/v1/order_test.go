// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// key is a fixed key pair: what is tested is what is signed, not how keys are made.
func key(seed byte) (sign func([]byte) ([]byte, error), verify func(message, signature []byte) error) {
	k := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	sign = func(m []byte) ([]byte, error) { return ed25519.Sign(k, m), nil }
	verify = func(m, s []byte) error {
		if !ed25519.Verify(k.Public().(ed25519.PublicKey), m, s) {
			return errors.New("wrong signature")
		}
		return nil
	}
	return sign, verify
}

func join() v1.Order {
	return v1.Order{Kind: v1.OrderJoin, ClusterID: "c1", ServerName: "bus-1-0", DiskID: "d1", Nonce: "n1",
		Routes: []string{"nats://10.0.0.1:6222", "nats://[::1]:6222"}}
}

// signRaw signs bytes that need not be an order.
func signRaw(t *testing.T, raw string) v1.SignedOrder {
	t.Helper()
	sign, _ := key('a')
	s, err := join().Sign(func([]byte) ([]byte, error) { return sign([]byte("unibus-order-v1\n" + raw)) })
	if err != nil {
		t.Fatal(err)
	}
	s.Order = []byte(raw)
	return s
}

func TestOrderTravels(t *testing.T) {
	sign, verify := key('a')
	for _, want := range []v1.Order{
		join(),
		{Kind: v1.OrderFound, ClusterID: "c1", ServerName: "bus-0-0", DiskID: "d1", Nonce: "n1"},
		{Kind: v1.OrderWipeAndJoin, ClusterID: "c1", ServerName: "bus-1-1", Old: "bus-1-0", DiskID: "d1", Nonce: "n1"},
		{Kind: v1.OrderResume, ClusterID: "c1", ServerName: "bus-1-0", DiskID: "d1", Nonce: "n1", KeepMark: true},
		{Kind: v1.OrderLeave, ClusterID: "c1", ServerName: "bus-1-0", DiskID: "d1", Nonce: "n1"},
		{Kind: v1.OrderRetire, ClusterID: "c1", ServerName: "bus-1-0", DiskID: "d1", Nonce: "n1"},
	} {
		s, err := want.Sign(sign)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back v1.SignedOrder
		if err := json.Unmarshal(wire, &back); err != nil {
			t.Fatal(err)
		}
		got, err := back.Open(verify)
		if err != nil {
			t.Fatalf("%s: %v", want.Kind, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", want.Kind, d)
		}
	}
}

func TestOrderSignatureIsChecked(t *testing.T) {
	sign, verify := key('a')
	other, _ := key('b')
	good, _ := join().Sign(sign)
	changed := good
	changed.Order = []byte(strings.Replace(string(good.Order), "bus-1-0", "bus-2-0", 1))
	wrongKey, _ := join().Sign(other)
	noPrefix, _ := join().Sign(func(m []byte) ([]byte, error) {
		return sign([]byte(strings.TrimPrefix(string(m), "unibus-order-v1\n")))
	})
	for name, s := range map[string]v1.SignedOrder{
		"changed": changed, "wrong key": wrongKey, "without the prefix": noPrefix,
		"no signature": {Order: good.Order}, "garbled signature": {Order: good.Order, Signature: "!" + good.Signature},
		"padded signature": {Order: good.Order, Signature: good.Signature + "=="},
	} {
		if _, err := s.Open(verify); !errors.Is(err, v1.ErrOrderSignature) {
			t.Errorf("%s: %v, want %v", name, err, v1.ErrOrderSignature)
		}
	}
}

func TestOrderMalformed(t *testing.T) {
	_, verify := key('a')
	rest := `"clusterID":"c1","serverName":"a-1","diskID":"d1","nonce":"n1"`
	for name, raw := range map[string]string{
		"empty":               ``,
		"half":                `{"kind":"join",` + rest,
		"array":               `[]`,
		"unknown field":       `{"kind":"join","now":1,` + rest + `}`,
		"two values":          `{"kind":"join",` + rest + `}{}`,
		"unknown kind":        `{"kind":"found2",` + rest + `}`,
		"no ids":              `{"kind":"join","serverName":"a"}`,
		"path as name":        `{"kind":"join","clusterID":"c1","serverName":"../a","diskID":"d1","nonce":"n1"}`,
		"hidden name":         `{"kind":"join","clusterID":"c1","serverName":".a","diskID":"d1","nonce":"n1"}`,
		"long name":           `{"kind":"join","clusterID":"c1","serverName":"` + strings.Repeat("a", 129) + `","diskID":"d1","nonce":"n1"}`,
		"old in join":         `{"kind":"join","old":"b",` + rest + `}`,
		"no old in wipe":      `{"kind":"wipe-and-join",` + rest + `}`,
		"old is new in wipe":  `{"kind":"wipe-and-join","old":"a-1",` + rest + `}`,
		"keepMark in leave":   `{"kind":"leave","keepMark":true,` + rest + `}`,
		"timers in found":     `{"kind":"found","raftTimers":"2s/4s/500ms",` + rest + `}`,
		"routes in resume":    `{"kind":"resume","routes":["nats://a:1"],` + rest + `}`,
		"route without port":  `{"kind":"join","routes":["nats://a"],` + rest + `}`,
		"route with password": `{"kind":"join","routes":["nats://u:p@a:1"],` + rest + `}`,
		"route of http":       `{"kind":"join","routes":["http://a:1"],` + rest + `}`,
		"too large":           `{"kind":"join",` + rest + `}` + strings.Repeat(" ", 64<<10),
	} {
		_, err := signRaw(t, raw).Open(verify)
		if !errors.Is(err, v1.ErrOrderMalformed) {
			t.Errorf("%s: %v, want %v", name, err, v1.ErrOrderMalformed)
		}
		if err != nil && strings.Contains(err.Error(), "u:p@") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// FuzzOrder: whatever is signed, an order that opens is valid, and encodes to an order that opens to the same.
func FuzzOrder(f *testing.F) {
	sign, verify := key('a')
	s, _ := join().Sign(sign)
	f.Add(s.Order)
	f.Add([]byte(`{"kind":"wipe-and-join","clusterID":"c","serverName":"a","diskID":"d","nonce":"n","old":"b"}`))
	f.Add([]byte(`{"kind":"resume","KEEPMARK":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sig, _ := sign(append([]byte("unibus-order-v1\n"), raw...))
		signed, _ := v1.Order{}.Sign(func([]byte) ([]byte, error) { return sig, nil })
		signed.Order = raw
		o, err := signed.Open(verify)
		if err != nil {
			if !errors.Is(err, v1.ErrOrderMalformed) {
				t.Fatalf("well signed, but: %v", err)
			}
			return
		}
		if err := o.Validate(); err != nil {
			t.Fatalf("opened an order that is not valid: %v", err)
		}
		again, _ := o.Sign(sign)
		back, err := again.Open(verify)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, back); d != "" && len(o.Routes) > 0 {
			t.Fatalf("(-first +second):\n%s", d)
		}
	})
}
