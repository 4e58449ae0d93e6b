// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/gateway/dns"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/registry"
)

// named returns a stage whose backend has one endpoint, http://portal.example:8080, and what its name leads to.
func named(t *testing.T, policy registry.AddressPolicy) (*stage, *endpoint.Endpoint) {
	t.Helper()
	var book endpoint.Book
	g := book.Group("sim", endpoint.Options{Endpoints: []endpoint.Spec{{URL: "http://portal.example:8080", Host: "portal.example", Port: 8080, Policy: policy}}})
	book.Apply([]*endpoint.Group{g})
	return newStageOf(t, func(o *Options) { o.Inline = true }, g), g.At(0)
}

// ask sends a request and, if one arrives at the backend, answers it there.
func (st *stage) ask(status int, reason string) {
	st.t.Helper()
	e := st.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if b := st.back.Accept(); b != nil {
		st.settle()
		b.Read()
		st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		b.Close()
		st.settle()
	}
	st.wants(e, status, reason, true)
}

// BE-04: name servers are silent for ten minutes: no request fails.
func TestBE04NameServersAreDownForTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		r := dns.New(dns.Options{Lookup: func(ctx context.Context, host string) (dns.Answer, error) {
			if down.Load() {
				<-ctx.Done()
				return dns.Answer{}, ctx.Err()
			}
			return dns.Answer{Addresses: []netip.Addr{simBack.Addr()}, TTL: 30 * time.Second}, nil
		}})
		defer r.Close()
		st, e := named(t, registry.AddressPolicy{Private: true})
		r.Resolve(t.Context(), []*endpoint.Endpoint{e})
		r.Follow([]*endpoint.Endpoint{e})
		st.ask(200, "")
		down.Store(true)
		for range 120 {
			time.Sleep(5 * time.Second) // the names' time and the loop's
			st.pass(5*time.Second, 5*time.Second, nil)
			st.ask(200, "")
		}
		if s := r.Stats(); s.Lookups[dns.TimedOut] < 10 || s.Names[0].Age < 10*time.Minute {
			t.Errorf("%+v: the servers were not down", s)
		}
	})
}

// BE-04: a name that does not resolve, and never did, has its reasons; each costs its backend alone, and is over with
// the first answer.
func TestBE04ANameWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	st, e := named(t, registry.AddressPolicy{Private: true})
	st.ask(502, "dns_failed")
	e.SetUnresolved(message.FaultDNSTimeout)
	st.ask(504, "dns_timeout")
	e.SetUnresolved(message.FaultDNS)
	st.ask(502, "dns_failed")
	e.SetAddresses([]netip.AddrPort{simBack})
	st.ask(200, "")
}

// A portal that has moved is reached where it is: a connection to where it was carries no further request.
func TestAPortalThatHasMoved(t *testing.T) {
	t.Parallel()
	st, e := named(t, registry.AddressPolicy{Private: true})
	e.SetAddresses([]netip.AddrPort{simBack})
	client := st.send(getA)
	before := st.accept()
	before.Read()
	next := st.net.Listen(simNext)
	e.SetAddresses([]netip.AddrPort{simNext})
	st.write(before, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(client, 200, "", false)
	if !before.EOF() {
		t.Error("the connection to where it was is kept")
	}
	st.write(client, getA)
	after := next.Accept()
	if after == nil {
		t.Fatal("no connection came to where it is")
	}
	st.settle()
	st.write(after, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(client, 200, "", false)
}

// CP-01: of what a name leads to, the addresses of this machine, its network and its services are not connected to,
// whenever they come: the name below changes after it was looked at.
func TestCP01ANameThatFlips(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"169.254.169.254", "127.0.0.1", "0.0.0.0", "10.0.0.2", "192.168.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "fd00::1", "ff02::1", "fd00:ec2::254",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
	} {
		st, e := named(t, registry.AddressPolicy{})
		public := netip.MustParseAddrPort("20.0.0.1:8080")
		bad := netip.AddrPortFrom(netip.MustParseAddr(address), 8080)
		inside, outside := st.net.Listen(bad), st.net.Listen(public)
		st.back = outside
		e.SetAddresses([]netip.AddrPort{public})
		st.ask(200, "")
		e.SetAddresses([]netip.AddrPort{bad})
		st.ask(502, "address_refused")
		e.SetAddresses([]netip.AddrPort{bad, public}) // the rest of an answer is used
		st.ask(200, "")
		if inside.Accept() != nil {
			t.Errorf("%s was connected to", address)
		}
		if n := st.server.nodes[0].cache.Stats().Refused; n != 2 {
			t.Errorf("%s: %d refused connects counted, want 2", address, n)
		}
	}
}

// CP-01: what the operator allows, or has written down, is connected to; nobody can be at some addresses.
func TestCP01AddressesThatAreMeant(t *testing.T) {
	t.Parallel()
	private, loopback, metadata := netip.MustParseAddrPort("10.0.0.2:8080"), netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("169.254.169.254:8080")
	for _, c := range []struct {
		policy  registry.AddressPolicy
		allowed []netip.AddrPort
	}{
		{registry.AddressPolicy{Private: true}, []netip.AddrPort{private}},
		{registry.AddressPolicy{Loopback: true}, []netip.AddrPort{loopback}},
		{registry.AddressPolicy{Literal: true}, []netip.AddrPort{private, loopback, metadata}},
	} {
		for _, a := range []netip.AddrPort{private, loopback, metadata, netip.MustParseAddrPort("0.0.0.0:8080")} {
			st, e := named(t, c.policy)
			st.back = st.net.Listen(a)
			e.SetAddresses([]netip.AddrPort{a})
			status, reason := 502, "address_refused"
			for _, b := range c.allowed {
				if a == b {
					status, reason = 200, ""
				}
			}
			st.ask(status, reason)
		}
	}
}

// CP-01: DNS rebinding. A server says a public address whenever it is asked by who checks, and another one afterwards.
func TestCP01Rebinding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		metadata := netip.MustParseAddr("169.254.169.254")
		r := dns.New(dns.Options{Lookup: func(context.Context, string) (dns.Answer, error) {
			if asked++; asked%2 == 1 {
				return dns.Answer{Addresses: []netip.Addr{netip.MustParseAddr("20.0.0.1")}}, nil
			}
			return dns.Answer{Addresses: []netip.Addr{metadata}}, nil
		}})
		defer r.Close()
		st, e := named(t, registry.AddressPolicy{Private: true, Loopback: true})
		st.back = st.net.Listen(netip.MustParseAddrPort("20.0.0.1:8080"))
		inside := st.net.Listen(netip.AddrPortFrom(metadata, 8080))
		if failed := r.Resolve(t.Context(), []*endpoint.Endpoint{e}); len(failed) > 0 {
			t.Fatal(failed)
		}
		r.Follow([]*endpoint.Endpoint{e})
		reached, refused := 0, 0
		for range 40 {
			synctest.Wait()
			if e.Addresses()[0].Addr() == metadata {
				st.ask(502, "address_refused")
				refused++
			} else {
				st.ask(200, "")
				reached++
			}
			time.Sleep(500 * time.Millisecond)
		}
		if reached < 5 || refused < 5 || inside.Accept() != nil {
			t.Errorf("%d reached, %d refused", reached, refused)
		}
	})
}
