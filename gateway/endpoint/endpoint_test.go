// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"net/netip"
	"testing"
)

func specs(urls ...string) (o Options) {
	for _, u := range urls {
		o.Endpoints = append(o.Endpoints, Spec{URL: u, Host: u, Port: 80})
	}
	return o
}

// TestStateOutlivesSnapshots: an endpoint that two snapshots name is one, wherever it stands; one that the snapshot in
// service does not name is forgotten.
func TestStateOutlivesSnapshots(t *testing.T) {
	var k Book
	first := k.Group("b", specs("http://a", "http://b"))
	k.Apply([]*Group{first})
	second := k.Group("b", specs("http://b", "http://c"))
	if second.At(0) != first.At(1) {
		t.Error("an endpoint in both snapshots lost its state")
	}
	if k.Group("other", specs("http://a")).At(0) == first.At(0) {
		t.Error("two backends share an endpoint")
	}
	if k.Group("b", specs("http://c")).At(0) == second.At(1) {
		t.Error("an endpoint of a snapshot that never was in service is kept")
	}
	k.Apply([]*Group{second})
	if k.Group("b", specs("http://a")).At(0) == first.At(0) {
		t.Error("an endpoint that nothing names is kept")
	}
	if !second.Same(k.Group("b", specs("http://b", "http://c"))) || second.Same(first) {
		t.Error("Same is wrong about what two groups share")
	}
}

// TestAddresses: literal addresses come with the configuration, others when somebody stores them.
func TestAddresses(t *testing.T) {
	var k Book
	at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:80")}
	g := k.Group("b", Options{Endpoints: []Spec{{URL: "http://192.0.2.1", Addresses: at}, {URL: "http://name.example"}}})
	if a := g.At(0).Addresses(); len(a) != 1 || a[0] != at[0] {
		t.Errorf("got %v, want %v", a, at)
	}
	if a := g.At(1).Addresses(); a != nil {
		t.Errorf("a name that nobody has resolved has %v", a)
	}
	g.At(1).SetAddresses(at)
	k.Apply([]*Group{g})
	if a := k.Group("b", Options{Endpoints: []Spec{{URL: "http://name.example"}}}).At(0).Addresses(); len(a) != 1 {
		t.Errorf("what was resolved is gone with the next snapshot: %v", a)
	}
}

// TestTurns: every endpoint has its turn.
func TestTurns(t *testing.T) {
	var k Book
	g := k.Group("b", specs("http://a", "http://b", "http://c"))
	g.pick = RoundRobin
	var got [3]int
	for turn := range uint64(30) {
		got[g.Pick(Wish{Turn: turn})]++
	}
	if got != [3]int{10, 10, 10} {
		t.Errorf("got %v", got)
	}
}
