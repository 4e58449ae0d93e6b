// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// socketFor returns a frugal socket and a client's.
func socketFor(t testing.TB) (f *frugal, client *net.UDPConn) {
	t.Helper()
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	return newFrugal(listen()), listen()
}

// TestProbesTakeCredit has an address send little and get a few probes, whatever else it gets.
func TestProbesTakeCredit(t *testing.T) {
	t.Parallel()
	f, client := socketFor(t)
	to := client.LocalAddr().(*net.UDPAddr)
	ecn := []byte{20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0} // cmsghdr, IPPROTO_IP, IP_TOS, and that ECN is understood
	probe, packet, initial := make([]byte, probeSize), make([]byte, probeSize+1), slices.Repeat([]byte{0xc0}, probeSize)
	write := func(b, oob []byte) {
		t.Helper()
		if n, oobn, err := f.WriteMsgUDP(b, oob, to); n != len(b) || oobn != len(oob) || err != nil {
			t.Fatal(n, oobn, err)
		}
	}
	in := make([]byte, 2*probeSize)
	read := func() int {
		t.Helper()
		_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := client.Read(in)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	hear := func(octets, times int) {
		t.Helper()
		in := []ipv4.Message{{Buffers: [][]byte{make([]byte, 2*probeSize)}}}
		for range times {
			if _, err := client.WriteTo(make([]byte, octets), f.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if n, err := f.ReadBatch(in, 0); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	// expect waits for as many datagrams as are to come, and finds no more before one that the client sends itself.
	expect := func(what string, want int) {
		t.Helper()
		for range want {
			read()
		}
		if _, err := client.WriteTo([]byte("end"), to); err != nil {
			t.Fatal(err)
		}
		more := 0
		for read() != len("end") {
			more++
		}
		if more > 0 {
			t.Errorf("%s: %d datagrams came, want %d", what, want+more, want)
		}
	}
	write(probe, nil)
	expect("a kernel without ECN", 1)
	write(initial, ecn)
	expect("the first datagram of a handshake", 1)
	write(probe, nil)
	expect("a probe to somebody unknown", 0)
	write(initial, nil)
	write(packet, nil)
	write(probe[:probeSize-1], nil)
	for range 10 {
		write(probe, ecn)
	}
	expect("what is no probe", 13)
	hear(34, 11)
	write(probe, nil)
	expect("a probe after 374 octets", 0)
	hear(34, 1)
	write(probe, nil)
	write(probe, nil)
	expect("probes after 408 octets", 1)
	hear(probeSize, 10)
	for range 10 {
		write(probe, nil)
	}
	expect("probes after much", mostCredit/probeSize)
}

// TestCreditIsForOneAddress has as many addresses as there are places.
func TestCreditIsForOneAddress(t *testing.T) {
	f, _ := socketFor(t)
	address := func(i int) *net.UDPAddr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: i} }
	for i := range credits {
		if f.account(address(i), -1) {
			t.Fatalf("address %d has credit that nobody gave", i)
		}
		f.account(address(i), 2)
	}
	kept := 0
	for i := range credits {
		if f.account(address(i), -2) {
			kept++
		}
	}
	if kept < credits/2 {
		t.Errorf("%d of %d addresses have kept their credit", kept, credits)
	}
	from := &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}
	if n := testing.AllocsPerRun(100, func() { f.account(from, 100) }); n > 0 {
		t.Errorf("%.0f allocations for a datagram", n)
	}
}

func BenchmarkAccount(b *testing.B) {
	f, client := socketFor(b)
	from := client.LocalAddr().(*net.UDPAddr)
	for b.Loop() {
		f.account(from, 3*probeSize)
	}
}
