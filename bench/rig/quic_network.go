// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/quicraw"
)

const (
	leastDatagram = 1200 // octets, that every path of QUIC takes (RFC 9000, section 14)
	forgedMTU     = 600
)

// tooBig forges the message of a router that the path from the gateway to one address of ours takes less than QUIC needs
// (CVE-2024-53259). Only that address of the loopback network is told so, and the kernel forgets it in ten minutes.
func tooBig(ctx context.Context, q *quicBed, report *quicFlood) error {
	o := q.options()
	o.From = netip.AddrFrom4([4]byte{127, 77, byte(os.Getpid() >> 8), byte(os.Getpid())})
	c, err := quicraw.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if err := c.Handshake(); err != nil {
		return err
	}
	before, err := fetch(c, 0)
	if err != nil {
		return err
	}
	us := c.Socket().LocalAddr().(*net.UDPAddr).AddrPort()
	if err := forge(q.server, us); err != nil {
		return err
	}
	told, err := pathMTU(q.server.Addr(), us)
	if err != nil {
		return err
	}
	if told != forgedMTU {
		return skipped(fmt.Sprintf("the kernel does not believe forged messages: the path takes %d", told))
	}
	after, err := fetch(c, 4)
	if err != nil {
		return err
	}
	report.Came = fmt.Sprintf("datagrams of %d octets before and of %d after the kernel believed it", before, after)
	if after < leastDatagram {
		return errors.New(report.Came)
	}
	return nil
}

// fetch asks for 16 KiB on a stream and returns how long the longest datagram was that came.
func fetch(c *quicraw.Conn, stream uint64) (longest int, err error) {
	text := func(b []byte, prefix byte, s string) []byte { return append(append(b, prefix, byte(len(s))), s...) }
	section := []byte{0, 0, 0xd1, 0xd7} // GET, https (RFC 9204, appendix A)
	section = text(section, 0x50, tlsHost)
	section = text(section, 0x51, "/16k")
	head := append([]byte{1, byte(len(section))}, section...) // HEADERS
	done, got := false, map[uint64]int{}
	end, octets := uint64(0), 0
	c.Heard = func(_ quicraw.Level, _ uint64, f *quicraw.Frame) {
		if f.Kind&^7 != quicraw.FrameStream || f.Values[0] != stream {
			return
		}
		if _, again := got[f.Values[1]]; !again {
			octets += len(f.Data)
		}
		got[f.Values[1]] = len(f.Data)
		if f.Kind&1 != 0 {
			end = f.Values[1] + uint64(len(f.Data))
		}
		done = end > 0 && uint64(octets) >= end
	}
	defer func() { c.Heard = nil }()
	if _, err := c.Send(quicraw.OneRTT, quicraw.AppendStream(nil, stream, 0, head, true)); err != nil {
		return 0, err
	}
	c.Largest = 0
	for !done {
		if err := c.Receive(holdTime); err != nil {
			return 0, fmt.Errorf("an answer: %w", err)
		}
		if c.Closed() != nil {
			return 0, c.Closed()
		}
	}
	return c.Largest, nil
}

// forge sends an ICMP message (RFC 792, RFC 1191) to from, as if a router could not pass on a datagram from there to to.
func forge(from, to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		return skipped("forging takes a raw socket: " + err.Error())
	}
	defer unix.Close(fd)
	message := []byte{3, 4, 0, 0, 0, 0, forgedMTU >> 8, forgedMTU & 0xff}
	source, target := from.Addr().As4(), to.Addr().As4()
	message = append(message, 0x45, 0, 0x05, 0x00, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0) // 1280 octets, not to be cut up
	message = append(append(message, source[:]...), target[:]...)
	binary.BigEndian.PutUint16(message[8+10:], checksum(message[8:]))
	message = binary.BigEndian.AppendUint16(message, from.Port())
	message = binary.BigEndian.AppendUint16(message, to.Port())
	message = append(message, 0x04, 0xec, 0, 0) // 1260 octets, no checksum
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	return unix.Sendto(fd, message, 0, &unix.SockaddrInet4{Addr: source})
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

// pathMTU is what the kernel believes that a path takes.
func pathMTU(from netip.Addr, to netip.AddrPort) (mtu int, err error) {
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	control := raw.Control(func(fd uintptr) { mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU) })
	return mtu, errors.Join(control, err)
}

const (
	// handshakesAtOnce is how many may be under way before addresses must be proved, and one; handshakeLife how long one
	// may take. Together they bound how many begin.
	handshakesAtOnce = 129
	handshakeLife    = 5 * time.Second
	// mostAmplified is how many times what an address has sent may go there before it has proved itself (RFC 9000, section
	// 8.1), and spareDatagram what quic-go adds: it asks before a datagram whether the limit is reached, not whether the
	// datagram will pass it (isAmplificationLimited in internal/ackhandler).
	mostAmplified, spareDatagram = 3, 1280
)

// initialFlood greets from ever other addresses and leaves. It must begin few handshakes, ask the others for proof, send
// nobody more than three times what came from there, and have room for a client that means it.
func initialFlood(ctx context.Context, q *quicBed, report *quicFlood) error {
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	f := &initials{q: q, socket: ipv4.NewPacketConn(socket), sent: map[netip.Addr]int{}, came: map[netip.Addr]int{}, begun: map[netip.Addr]bool{}, in: make([]byte, 64<<10)}
	if err := f.socket.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return err
	}
	n, start := proof.Count(600, 6_000), time.Now()
	for i := range n {
		if err := f.greet(ctx, netip.AddrFrom4([4]byte{127, 78, byte(i >> 8), byte(i)})); err != nil {
			return err
		}
		if i%floodBurst == 0 {
			if err := f.listen(floodPause); err != nil {
				return err
			}
		}
	}
	newcomer, err := q.connected(ctx)
	if err != nil {
		return fmt.Errorf("a client that proves its address: %w", err)
	}
	proved := newcomer.Retries
	err = errors.Join(newcomer.Stop(), q.healthy(ctx), f.listen(time.Duration(proof.Count(1, int(2*handshakeLife/time.Second)))*time.Second))
	report.Datagrams, report.Handshakes, report.Retries = n, len(f.begun), f.retries
	tooMuch := 0
	for a, octets := range f.came {
		report.Amplification = max(report.Amplification, float64(octets)/float64(f.sent[a]))
		if octets >= mostAmplified*f.sent[a]+spareDatagram {
			tooMuch++
		}
	}
	if tooMuch > 0 {
		err = errors.Join(err, fmt.Errorf("%d addresses without proof were sent too much, %.1f times what came from them", tooMuch, report.Amplification))
	}
	most := handshakesAtOnce * (1 + int(time.Since(start)/handshakeLife))
	report.Came = fmt.Sprintf("%d handshakes begun, %d Retries; %d of a newcomer that proved its address", report.Handshakes, report.Retries, proved)
	if report.Handshakes > most {
		err = errors.Join(err, fmt.Errorf("%d handshakes begun, want %d at most", report.Handshakes, most))
	}
	if report.Retries == 0 {
		err = errors.Join(err, errors.New("nobody was asked for proof"))
	}
	return err
}

// initials is greetings from many addresses.
type initials struct {
	q          *quicBed
	socket     *ipv4.PacketConn
	sent, came map[netip.Addr]int // octets
	begun      map[netip.Addr]bool
	retries    int
	in         []byte
}

func (f *initials) greet(ctx context.Context, from netip.Addr) error {
	c, err := quicraw.Dial(ctx, f.q.options())
	if err != nil {
		return err
	}
	hello, err := c.Greeting()
	if err = errors.Join(err, c.Stop()); err != nil {
		return err
	}
	f.sent[from] = len(hello)
	_, err = f.socket.WriteTo(hello, &ipv4.ControlMessage{Src: from.AsSlice()}, net.UDPAddrFromAddrPort(f.q.server))
	return err
}

// listen notes what comes for so long.
func (f *initials) listen(d time.Duration) error {
	if err := f.socket.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	for {
		n, control, _, err := f.socket.ReadFrom(f.in)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		to, _ := netip.AddrFromSlice(control.Dst)
		to = to.Unmap()
		f.came[to] += n
		if quicraw.IsRetry(f.in[:n]) {
			f.retries++
		} else {
			f.begun[to] = true
		}
	}
}
