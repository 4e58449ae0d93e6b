// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"syscall"

	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/loop"
)

// undecided is a connection without TLS whose first octets say whether its client speaks HTTP/2: who does, knows that we
// do, and begins with the preface (RFC 9113, section 3.3), which is no request of HTTP/1.1. It has the time of a head.
type undecided struct{ *link }

// Readable compares what there is with the preface, and gives the connection to who understands it.
func (u undecided) Readable() {
	if u.stream.Lost() {
		u.gone()
		return
	}
	buf := u.host.loop.ReadBuffer()
	kept, n, st := u.receive(buf)
	switch st {
	case loop.Again:
		return
	case loop.EOF, loop.Failed:
		u.gone()
		return
	}
	n += kept
	begun := min(n, len(http2.Preface))
	is := string(buf[:begun]) == http2.Preface[:begun]
	u.retain(buf[:n], !is || begun == len(http2.Preface))
	switch {
	case !is:
		u.http1()
	case u.unfed:
		u.http2()
	default:
		if u.stream.Ready() {
			u.stream.Again()
		}
		return
	}
	u.stream.Again()
}

// Connected is of no meaning for an accepted connection.
func (u undecided) Connected(syscall.Errno) {}

// Stuck and Drained are of no meaning where nothing is written.
func (u undecided) Stuck() {}

// Drained: see Stuck.
func (u undecided) Drained() {}

// Broken says that the client has reset the connection.
func (u undecided) Broken() { u.gone() }

// Expire ends a connection that has not decided in time.
func (u undecided) Expire(int64) {
	if len(u.in) > 0 {
		u.end(SlowHead)
	} else {
		u.end(NoRequest)
	}
}
