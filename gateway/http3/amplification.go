// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"encoding/binary"
	"hash/maphash"
	"net"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
)

const (
	// mostAmplified is how many times what has come from an address may go there before it is validated (RFC 9000, section
	// 8.2.2).
	mostAmplified = 3
	// probeSize is the length of a datagram with which quic-go probes a path or answers a probe, octets.
	probeSize = 1200
	// mostCredit is how much an address can have saved up, octets: what a client has sent must not be turned against it.
	mostCredit = 4 * probeSize
	// credits is how many addresses are known at a time, a power of two.
	credits = 1 << 14
	// creditBits hold mostCredit.
	creditBits = 16
)

// frugal is a socket on which probes of paths keep the anti-amplification limit. quic-go fills them up to 1200 octets,
// however few have come, and whoever has a connection can have them sent to any address by claiming that it comes from
// there. A probe that is not sent is lost to quic-go: it sends another when more comes from that address.
type frugal struct {
	*net.UDPConn
	batch *ipv4.PacketConn
	seed  maphash.Seed
	// marks is set once it has been seen that quic-go marks what is no probe. It does not on kernels without ECN.
	marks atomic.Bool
	// credit is by the lower bits of an address's hash: the rest of the hash, and creditBits with what may be sent, octets.
	// Whoever comes later takes the place: the other one's credit is lost.
	credit [credits]atomic.Uint64
}

func newFrugal(c *net.UDPConn) *frugal {
	return &frugal{UDPConn: c, batch: ipv4.NewPacketConn(c), seed: maphash.MakeSeed()}
}

// ReadBatch is what quic-go reads with.
func (f *frugal) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	n, err := f.batch.ReadBatch(messages, flags)
	for i := range n {
		if from, ok := messages[i].Addr.(*net.UDPAddr); ok {
			f.account(from, mostAmplified*messages[i].N)
		}
	}
	return n, err
}

// WriteMsgUDP is what quic-go writes with.
func (f *frugal) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	switch {
	case !f.marks.Load():
		if marked(oob) {
			f.marks.Store(true)
		}
	case len(b) == probeSize && b[0]&longHeader == 0 && !marked(oob) && !f.account(to, -probeSize):
		return len(b), len(oob), nil
	}
	return f.UDPConn.WriteMsgUDP(b, oob, to)
}

// longHeader is set in the first octet of packets before there is a connection (RFC 9000, section 17.2).
const longHeader = 0x80

// marked reports whether the kernel is told of ECN (RFC 3168). quic-go says something of it with every packet on the path of
// a connection, and nothing with what goes elsewhere.
func marked(oob []byte) bool {
	messages, _ := syscall.ParseSocketControlMessage(oob)
	return slices.ContainsFunc(messages, func(m syscall.SocketControlMessage) bool {
		return m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_TOS ||
			m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == syscall.IPV6_TCLASS
	})
}

// account adds octets to what may be sent to an address. It reports false, and changes nothing, if there are too few to be
// taken off.
func (f *frugal) account(a *net.UDPAddr, octets int) bool {
	hash := f.hash(a)
	place := &f.credit[hash%credits]
	who := hash >> creditBits << creditBits
	for {
		was := place.Load()
		credit := octets
		if was&^(1<<creditBits-1) == who {
			credit += int(was - who)
		}
		if credit < 0 {
			return false
		}
		if now := who | uint64(min(credit, mostCredit)); now == was || place.CompareAndSwap(was, now) {
			return true
		}
	}
}

func (f *frugal) hash(a *net.UDPAddr) uint64 {
	from := a.AddrPort()
	ip := from.Addr().As16()
	var key [len(ip) + 2]byte
	binary.BigEndian.PutUint16(key[copy(key[:], ip[:]):], from.Port())
	return maphash.Bytes(f.seed, key[:])
}
