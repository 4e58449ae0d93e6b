// SPDX-License-Identifier: EUPL-1.2

package dns

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func addrs(texts ...string) (a []netip.Addr) {
	for _, t := range texts {
		a = append(a, netip.MustParseAddr(t))
	}
	return a
}

// many returns n addresses of 20.0.0.0/8.
func many(n int) (a []netip.Addr) {
	for i := range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 20<<24+uint32(i))
		a = append(a, netip.AddrFrom4(b))
	}
	return a
}

func lookup(t *testing.T, s *server, host string) (Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return System(s.dial)(ctx, host)
}

func TestLookUpTellsAddressesAndHowLongTheyAreGood(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.set("both.example.", "A", zone{addresses: addrs("20.0.0.1", "20.0.0.2"), ttl: 70})
	s.set("both.example.", "AAAA", zone{addresses: addrs("2600::1", "2600::2"), ttl: 60})
	s.set("via.example.", "A", zone{via: []string{"a.example.", "b.example."}, addresses: addrs("20.0.0.3"), ttl: 7})
	s.set("via.example.", "AAAA", zone{via: []string{"a.example."}, ttl: 900})
	s.set("foreign.example.", "A", zone{foreign: true, addresses: addrs("20.0.0.4"), ttl: 90})
	s.set("foreign.example.", "AAAA", zone{})
	s.set("cut.example.", "A", zone{cut: true, addresses: many(4000), ttl: 40})
	s.set("cut.example.", "AAAA", zone{})
	s.set("mapped.example.", "AAAA", zone{addresses: addrs("::ffff:10.0.0.1"), ttl: 5})
	s.set("mapped.example.", "A", zone{})
	for host, want := range map[string]struct {
		addresses []netip.Addr
		ttl       time.Duration
	}{
		"both.example":    {addrs("20.0.0.1", "20.0.0.2", "2600::1", "2600::2"), 60 * time.Second},
		"via.example":     {addrs("20.0.0.3"), 7 * time.Second},
		"foreign.example": {addrs("20.0.0.4"), 90 * time.Second},
		"cut.example":     {many(maxAddresses), 40 * time.Second},
		"mapped.example":  {addrs("10.0.0.1"), 5 * time.Second},
	} {
		a, err := lookup(t, s, host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		got := slices.Clone(a.Addresses)
		for i := 1; i < len(got) && host == "both.example"; i++ {
			if got[i].Is4() == got[i-1].Is4() {
				t.Errorf("%s: %v: the families do not alternate", host, got)
			}
		}
		slices.SortFunc(got, netip.Addr.Compare)
		if host == "cut.example" { // which of them is for RFC 6724 to say
			want.addresses = got[:maxAddresses]
		}
		if !slices.Equal(got, want.addresses) || a.TTL != want.ttl || a.NoFour || a.NoSix {
			t.Errorf("%s: %+v, want %v for %v", host, a, want.addresses, want.ttl)
		}
	}
	if s.asked("cut.example.", "A", "tcp") != 1 {
		t.Error("a cut answer was not asked for again over TCP")
	}
}

func TestLookUpTellsAFamilyThatNobodyCouldBeAskedFor(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.set("half.example.", "A", zone{addresses: addrs("20.0.0.1"), ttl: 70})
	s.set("half.example.", "AAAA", zone{rcode: dnsmessage.RCodeServerFailure})
	a, err := lookup(t, s, "half.example")
	if err != nil || !slices.Equal(a.Addresses, addrs("20.0.0.1")) || a.NoFour || !a.NoSix {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestLookUpSurvivesAServerThatIsSilentAboutAFamily(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.set("deaf.example.", "A", zone{addresses: addrs("20.0.0.1"), ttl: 70})
	s.set("deaf.example.", "AAAA", zone{silent: true})
	var a Answer
	err := context.DeadlineExceeded
	// A busy machine may take longer than that for the answer that comes, and for as long as is waited none comes about the other.
	for patience := 300 * time.Millisecond; err != nil && patience < 30*time.Second; patience *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		a, err = System(s.dial)(ctx, "deaf.example")
		cancel()
	}
	if err != nil || !slices.Equal(a.Addresses, addrs("20.0.0.1")) || !a.NoSix {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestLookUpSaysHowItFailed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.set("none.example.", "A", zone{})
	s.set("none.example.", "AAAA", zone{})
	s.set("broken.example.", "A", zone{rcode: dnsmessage.RCodeServerFailure})
	s.set("broken.example.", "AAAA", zone{rcode: dnsmessage.RCodeServerFailure})
	s.set("refused.example.", "A", zone{rcode: dnsmessage.RCodeRefused})
	s.set("refused.example.", "AAAA", zone{rcode: dnsmessage.RCodeRefused})
	for host, want := range map[string]Result{"absent.example": NotFound, "none.example": NotFound, "broken.example": Failed, "refused.example": Failed} {
		if a, err := lookup(t, s, host); err == nil || resultOf(err) != want {
			t.Errorf("%s: %+v, %v is %v, want %v", host, a, err, resultOf(err), want)
		}
	}
	s.set("silent.example.", "A", zone{silent: true})
	s.set("silent.example.", "AAAA", zone{silent: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if a, err := System(s.dial)(ctx, "silent.example"); resultOf(err) != TimedOut {
		t.Errorf("%+v, %v is %v, want %v", a, err, resultOf(err), TimedOut)
	}
}

func TestLookUpReadsTheHostsFile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, err := lookup(t, s, "localhost")
	if err != nil || !a.Addresses[0].IsLoopback() || a.TTL != hostsTTL {
		t.Errorf("%+v, %v", a, err)
	}
}

// BE-04: an answer of 10 000 addresses is bounded, in the order of who sorted it, the families in turns.
func TestBE04ManyAddressesAreBounded(t *testing.T) {
	t.Parallel()
	got := order(slices.Concat(many(10_000), addrs("2600::1", "::ffff:20.0.0.0", "2600::1")))
	want := slices.Concat(many(1), addrs("2600::1"), many(maxAddresses)[1:maxAddresses-1])
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
