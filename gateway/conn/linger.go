// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"syscall"

	"github.com/pvgate/pvgate/gateway/loop"
)

// lingering is a connection after its last answer. While unread input may be there, or come, a plain close would reset
// the connection and destroy the answer on its way: shut down writing, read a while, then close (RFC 9112, section 9.6).
type lingering struct{ *link }

// linger ends a connection whose answers have been taken by the kernel.
func (l *link) linger() {
	g := lingering{l}
	l.own(g, g)
	l.giveBack(&l.in)
	g.Drained()
}

// Readable reads and drops what a client still sends.
func (g lingering) Readable() {
	buf := g.host.loop.ReadBuffer()
	for range turnReads {
		n, st := g.wire.Read(buf)
		g.lingered += n
		switch {
		case st == loop.Again:
			return
		case st != loop.Data || g.lingered > g.host.lingerBytes:
			g.close()
			return
		}
	}
	g.stream.Again()
}

// Drained shuts down writing, again if there was something left to say.
func (g lingering) Drained() {
	g.wire.CloseWrite()
	g.wait(int64(g.host.timeouts.Linger))
	g.Readable()
}

// Connected is of no meaning for an accepted connection.
func (g lingering) Connected(syscall.Errno) {}

// Stuck is of no meaning: nothing that is left to say is worth a longer wait.
func (g lingering) Stuck() {}

// Broken says that the client has reset the connection.
func (g lingering) Broken() { g.gone() }

// Expire ends the patience.
func (g lingering) Expire(int64) { g.close() }

func (g lingering) resting(int64) bool { return false }

func (g lingering) drain(int64) {}
