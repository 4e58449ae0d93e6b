// SPDX-License-Identifier: EUPL-1.2

package listen

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// udpBuffer is how much the kernel should hold of what has come for QUIC, or is to leave, octets: one socket serves all
// clients, and what does not fit is lost.
const udpBuffer = 7 << 20

// OpenUDP listens for datagrams on an address that Open has returned, with one socket, which the caller owns. The warning
// says that the kernel allows smaller buffers than it takes under load.
func OpenUDP(addr netip.AddrPort) (socket *net.UDPConn, warning string, err error) {
	network := "udp"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	socket, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, "", fmt.Errorf("listen on %s (UDP): %w", addr, err)
	}
	return sized(socket, addr)
}

// sized gives a socket the buffers it should have.
func sized(socket *net.UDPConn, addr netip.AddrPort) (_ *net.UDPConn, warning string, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, "", fmt.Errorf("listen on %s (UDP): %w", addr, err)
	}
	receive, send := 0, 0
	if cerr := raw.Control(func(fd uintptr) {
		receive = buffer(int(fd), unix.SO_RCVBUF, unix.SO_RCVBUFFORCE)
		send = buffer(int(fd), unix.SO_SNDBUF, unix.SO_SNDBUFFORCE)
	}); cerr != nil {
		return nil, "", fmt.Errorf("listen on %s (UDP): %w", addr, cerr)
	}
	if receive < udpBuffer || send < udpBuffer {
		warning = fmt.Sprintf("%s: the kernel holds %d KiB of received and %d KiB of sent UDP, and HTTP/3 wants %d KiB of each, or packets are lost under load; run: "+
			"sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", addr, receive>>10, send>>10, udpBuffer>>10, udpBuffer, udpBuffer)
	}
	return socket, warning, nil
}

// buffer makes a socket's buffer as large as it should be, or as it may, and returns its size.
func buffer(fd, option, force int) int {
	size := func() int {
		n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option) // 0 is too small too
		return n
	}
	for _, o := range []int{option, force} { // force is for those who administer the network
		if size() < udpBuffer {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, udpBuffer) // size says how it went
		}
	}
	return size()
}
