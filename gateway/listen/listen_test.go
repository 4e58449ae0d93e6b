// SPDX-License-Identifier: EUPL-1.2

package listen_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/listen"
)

// Linux gives an accepted connection the listening socket's TCP_NODELAY; without it the second piece of an answer waits
// for the acknowledgement of the first, 40 ms.
func TestWhatIsAcceptedDoesNotDelay(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		sockets, err := listen.Open(address, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Close()
		for range 4 { // whichever socket they come to
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port(sockets)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		accepted := 0
		for _, fd := range sockets.FDs {
			for {
				conn, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err != nil {
					break
				}
				accepted++
				if v, err := unix.GetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY); v != 1 || err != nil {
					t.Errorf("%s: TCP_NODELAY is %d (%v), want 1", address, v, err)
				}
				_ = unix.Close(conn)
			}
		}
		if accepted != 4 {
			t.Errorf("%s: %d connections, want 4", address, accepted)
		}
	}
}

func port(s listen.Sockets) string {
	_, p, _ := net.SplitHostPort(s.Addr.String())
	return p
}
