// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"strings"
	"sync"
	"testing"
)

func TestInFlightHoldsItsCap(t *testing.T) {
	t.Parallel()
	var f InFlight
	f.SetLimit(3)
	for i := range 5 {
		if got, want := f.Acquire(), i < 3; got != want {
			t.Errorf("acquire %d: %v, want %v", i, got, want)
		}
	}
	f.Release()
	if !f.Acquire() {
		t.Error("a released place was not given again")
	}
	f.SetLimit(1)
	f.Release()
	if f.Acquire() {
		t.Error("two inside, cap lowered to one: a third came in")
	}
	if f.Now() != 2 {
		t.Errorf("%d inside, want 2", f.Now())
	}
}

func TestInFlightNeverExceedsItsCapUnderContention(t *testing.T) {
	t.Parallel()
	const limit = 4
	var f, inside InFlight
	f.SetLimit(limit)
	inside.SetLimit(limit)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if !f.Acquire() {
					continue
				}
				if n := inside.n.Add(1); n > limit {
					t.Errorf("%d inside, cap %d", n, limit)
				}
				inside.n.Add(-1)
				f.Release()
			}
		})
	}
	wg.Wait()
	if f.Now() != 0 {
		t.Errorf("%d left inside, want 0", f.Now())
	}
}

func TestReleaseWithoutAcquirePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	new(InFlight).Release()
}

func TestAdmitTakesBothOrNeither(t *testing.T) {
	t.Parallel()
	var k Book
	b := k.Backend("hessen")
	if err := k.Apply(map[string]Limits{"hessen": {Rate: Quota{Requests: 3}, InFlight: 2}}, 0); err != nil {
		t.Fatal(err)
	}
	want := []Outcome{Admitted, Admitted, Busy, Busy}
	for i, w := range want {
		if got, _ := b.Admit(0); got != w {
			t.Fatalf("admit %d: %v, want %v", i, got, w)
		}
	}
	b.Release(0)
	// Had the refusals above taken shares, none would be left here.
	if got, _ := b.Admit(0); got != Admitted {
		t.Fatalf("after a release: %v, want Admitted", got)
	}
	b.Release(0)
	got, wait := b.Admit(0)
	if got != RateUsedUp || wait <= 0 {
		t.Fatalf("after three: %v, wait %d, want RateUsedUp and a wait", got, wait)
	}
	if n := b.Usage(0).InFlight; n != 1 {
		t.Errorf("%d in flight after a refusal by rate, want 1", n)
	}
	u := b.Usage(0)
	if u.BusyRefused != 2 || u.RateRefused != 1 || u.RateUsed != 1 || u.InFlightLimit != 2 {
		t.Errorf("usage %+v", u)
	}
}

func TestShadowModeCountsAndRefusesNothing(t *testing.T) {
	t.Parallel()
	var k Book
	b := k.Backend("x")
	if err := k.Apply(map[string]Limits{"x": {Rate: Quota{Requests: 1}, InFlight: 1, Shadow: true}}, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if got, _ := b.Admit(0); got != Admitted {
			t.Errorf("admit %d: %v", i, got)
		}
	}
	if ok, _ := b.Pass(0); !ok {
		t.Error("Pass refused in shadow mode")
	}
	if u := b.Usage(0); u.BusyRefused != 3 || u.RateRefused != 4 {
		t.Errorf("usage %+v, want 3 busy and 4 rate", u)
	}
	for range 4 {
		b.Release(0)
	}
}

func TestTheBookKeepsStateOverReloadsAndForgetsTheGone(t *testing.T) {
	t.Parallel()
	var k Book
	limits := map[string]Limits{"a": {Rate: Quota{Requests: 2}}, "b": {}}
	a := k.Backend("a")
	if err := k.Apply(limits, 0); err != nil {
		t.Fatal(err)
	}
	a.Pass(0)
	if k.Backend("a") != a {
		t.Error("a second snapshot got another state for the same name")
	}
	if err := k.Apply(map[string]Limits{"a": {Rate: Quota{Requests: 2}}}, 0); err != nil {
		t.Fatal(err)
	}
	a.Pass(0)
	if ok, _ := a.Pass(0); ok {
		t.Error("a reload gave the burst back")
	}
	if len(k.backends) != 1 {
		t.Errorf("%d backends kept, want 1", len(k.backends))
	}
	err := k.Apply(map[string]Limits{"a": {}, "c": {InFlight: -1}}, 0)
	if err == nil || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("error %v, want one that names backend c", err)
	}
	if ok, _ := a.Pass(0); ok {
		t.Error("a refused set of limits changed a limit")
	}
}

func TestTunnelsHaveTheirOwnPlaces(t *testing.T) {
	t.Parallel()
	var b Backend
	if err := b.configure(Limits{InFlight: 1, Tunnels: 2}, 0); err != nil {
		t.Fatal(err)
	}
	first, second, third := b.AdmitTunnel(), b.AdmitTunnel(), b.AdmitTunnel()
	if !first || !second || third {
		t.Error("two tunnels have a place, and no more")
	}
	if got, _ := b.Admit(0); got != Admitted {
		t.Errorf("a request is %v beside two tunnels", got)
	}
	if got, want := b.Usage(0), (Usage{InFlight: 1, InFlightLimit: 1, Tunnels: 2, TunnelsLimit: 2, BusyRefused: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	b.ReleaseTunnel()
	if !b.AdmitTunnel() {
		t.Error("a place that was given back is not free")
	}
	if err := b.configure(Limits{Tunnels: 1, Shadow: true}, 0); err != nil {
		t.Fatal(err)
	}
	if !b.AdmitTunnel() || b.Usage(0).BusyRefused != 2 {
		t.Error("shadow refuses nothing and counts")
	}
	for range 3 {
		b.ReleaseTunnel()
	}
	if err := b.configure(Limits{}, 0); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !b.AdmitTunnel() {
			t.Fatal("without a cap one was refused")
		}
	}
	if (Limits{Tunnels: -1}).Check() == nil {
		t.Error("a negative cap passes")
	}
}
