// SPDX-License-Identifier: EUPL-1.2

package exchange

import "github.com/pvgate/pvgate/gateway/message"

// again sends the request a second time, on a connection that has carried nothing, if that can do no harm: the kernel
// has accepted none of it and all that the client has sent of it is still held, whatever its method; or it is safe to
// repeat, has no body, and no octet of an answer has come (RFC 9110, section 9.2.2). It is once at most.
//
// An endpoint with which there is no TLS has got nothing, and would get nothing the next time: another one is asked. (Whoever
// cannot be connected to is passed over before it gets here.)
//
// A used connection that the backend closed before anything was sent is no failure of the backend's (RFC 9112, section
// 9.3.1): it has not seen this request, and is asked once. All other repetitions are asked of its budget, so that a
// backend in trouble does not get twice as many requests as others.
func (x *Exchange) again(fault message.Fault) bool {
	if x.retried || x.up.Answering() {
		return false
	}
	unsent := x.up.Unsent()
	switch fault {
	case message.FaultLost:
		if !unsent && !x.replayable {
			return false
		}
	case message.FaultTLS, message.FaultCertificate:
		if !unsent {
			return false
		}
	default:
		return false
	}
	if !x.backend.MayRepeat(x.host.Now(), unsent && x.up.Reused()) {
		return false
	}
	up, none := x.backend.Repeat(x, x.up)
	if none != message.FaultNone {
		return false
	}
	old := x.up
	x.retried, x.up = true, up
	x.rec.Forwarded = x.rec.Forwarded || old.Begun()
	old.Abort()
	up.Flush()
	return true
}
