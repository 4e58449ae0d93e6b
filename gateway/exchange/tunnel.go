// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 says so; it protects nobody
	"encoding/base64"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// tunnelling is what an exchange knows about a change of protocol: from the offer on, and while octets pass as they are.
type tunnelling struct {
	protocol []byte // offered to the backend, nil for none
	accept   [28]byte
	place    Place
	rules    *Tunnels
	moved    int64 // loop time at which an octet came last, of either side, or the last of those that had to wait was taken
	until    int64 // loop time at which it has lasted long enough
	inEnded  bool  // the client has finished sending
	outEnded bool  // the backend has
}

// offer decides whether a request's wish to change the protocol is passed on (RFC 9110, section 7.8), and takes the
// places for it; it reports false if there was none and the request was refused.
//
// What could make two readers disagree about where the request ends is forwarded without the wish, and so is a
// protocol that the backend does not allow: then nobody changes anything, and the next request is read as HTTP. An
// extended CONNECT is nothing without the wish, and refused.
func (x *Exchange) offer(h *message.Head) bool {
	wish := h.Upgrade
	h.Upgrade = false
	switch {
	case x.extended && !wish:
		x.refuse(reason.Draining, Detail{Backend: x.plan.Backend})
		return false
	case x.extended:
		x.giveKey(h)
	case !wish || h.Method != message.GET || h.Chunked || h.ContentLength > 0 || h.Close:
		return true
	}
	rules := x.backend.Tunnels()
	protocol := rules.choose(h)
	if protocol == nil || message.EqualFold(protocol, "websocket") && !x.tunnel.handshake(h) {
		if x.extended {
			x.refuse(reason.MethodRefused, Detail{Backend: x.plan.Backend})
		}
		return !x.extended
	}
	if !x.host.AdmitTunnel() {
		x.refuse(reason.LocalResource, Detail{Backend: x.plan.Backend})
		return false
	}
	place := x.backend.AdmitTunnel()
	if place == nil {
		x.host.LeaveTunnel()
		x.refuse(reason.BackendBusy, Detail{Backend: x.plan.Backend})
		return false
	}
	h.Upgrade = true
	x.tunnel.protocol, x.tunnel.place, x.tunnel.rules = protocol, place, rules
	return true
}

// choose returns the protocol to offer: the first of the client's that the backend allows.
func (t *Tunnels) choose(h *message.Head) []byte {
	if t == nil {
		return nil
	}
	for i := range h.Fields {
		if h.Fields[i].ID != message.Upgrade {
			continue
		}
		for name, rest := message.NextMember(h.Fields[i].Value); name != nil; name, rest = message.NextMember(rest) {
			for _, p := range t.Protocols {
				if message.EqualFold(name, p) {
					return p
				}
			}
		}
	}
	return nil
}

var (
	nameKey    = []byte("Sec-WebSocket-Key")
	nameAccept = []byte("Sec-WebSocket-Accept")
)

// giveKey puts a key of ours into a request for WebSocket that came without the handshake of HTTP/1.1, of which whatever
// the client says of its own accord is dropped (RFC 8441, section 5).
func (x *Exchange) giveKey(h *message.Head) {
	s := x.host.Scratch()
	x.host.Random(s.nonce[:])
	base64.StdEncoding.Encode(s.key[:], s.nonce[:])
	h.Fields = append(without(h.Fields, nameKey), message.Field{Name: nameKey, Value: s.key[:], ID: message.FieldOther})
}

// without takes the fields of a name out that is no known one.
func without(fields []message.Field, name []byte) []message.Field {
	kept := fields[:0]
	for i := range fields {
		if f := &fields[i]; f.ID != message.FieldOther || !message.EqualFold(f.Name, name) {
			kept = append(kept, *f)
		}
	}
	return kept
}

// only returns the value of the one field of that name, nil if there is none or more than one.
func only(h *message.Head, name []byte) (value []byte) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != message.FieldOther || !message.EqualFold(f.Name, name) {
			continue
		}
		if value != nil {
			return nil
		}
		value = f.Value
	}
	return value
}

// handshake notes what a backend that understands WebSocket must answer (RFC 6455, section 4.2.2); it reports false if
// the client's key is none.
func (t *tunnelling) handshake(h *message.Head) bool {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	key := only(h, nameKey)
	var nonce [18]byte
	var text [24 + len(guid)]byte
	if len(key) != 24 {
		return false
	}
	if n, err := base64.StdEncoding.Decode(nonce[:], key); err != nil || n != 16 {
		return false
	}
	copy(text[copy(text[:], key):], guid)
	sum := sha1.Sum(text[:])
	base64.StdEncoding.Encode(t.accept[:], sum[:])
	return true
}

// agreed reports whether a 101 agrees to what was offered, and to nothing else.
func (t *tunnelling) agreed(h *message.Head) bool {
	names := 0
	for i := range h.Fields {
		if h.Fields[i].ID != message.Upgrade {
			continue
		}
		for name, rest := message.NextMember(h.Fields[i].Value); name != nil; name, rest = message.NextMember(rest) {
			if names++; !message.EqualFold(name, t.protocol) {
				return false
			}
		}
	}
	return names == 1 && (!message.EqualFold(t.protocol, "websocket") || string(only(h, nameAccept)) == string(t.accept[:]))
}

// change is the state in which the backend agrees: the answer is relayed, and HTTP is over on both connections.
func (x *Exchange) change(h *message.Head) {
	t := &x.tunnel
	if !t.agreed(h) {
		x.fail(message.FaultUpgrade)
		return
	}
	now := x.host.Now()
	x.state = tunnel
	x.rec.Status, x.rec.Upstream = h.Status, now-x.asked
	if x.extended {
		x.rec.Status = 200 // RFC 8441, section 5
	}
	t.moved, t.until = now, now+int64(t.rules.Life)
	_, edit := x.backend.Edits()
	incoming := &x.host.Scratch().incoming
	*incoming = header.Response{
		Via: x.snapshot.Via, Trace: x.trace[:], Date: x.host.Date(), ContentLength: -1, Upgrade: t.protocol, Edit: edit,
		OwnCookie: x.plan.CookieName, StayCookie: x.plan.StayName, Prefix: x.plan.Prefix, Target: x.target, InPlace: x.plan.InPlace,
		Scratch: incoming.Scratch[:0],
	}
	fields := incoming.Apply(h)
	if x.extended {
		fields = without(fields, nameAccept)
	}
	x.front.Head(x.rec.Status, x.stays(fields))
	x.front.Switch()
	x.forget()
}

// forget lets go of the snapshot, of the place among the requests and of all storage, which large heads have made large:
// a tunnel may last for hours.
func (x *Exchange) forget() {
	x.backend.Leave()
	x.backend, x.snapshot = nil, nil
	x.path, x.authority, x.kept = nil, nil, nil
	x.plan, x.req, x.wish = Plan{}, Request{}, message.Head{}
}

// TunnelData takes octets of the client and sends them. The exchange may be Over when it returns.
func (x *Exchange) TunnelData(b []byte) {
	x.tunnel.moved = x.host.Now()
	x.rec.BytesIn += int64(len(b))
	x.host.Tunnelled(x.rec.Backend, len(b), 0)
	x.up.SendBody(b)
	x.up.Flush()
}

// TunnelEnd says that the client has finished sending; what the backend sends still passes.
func (x *Exchange) TunnelEnd() {
	x.tunnel.inEnded = true
	x.up.Finish()
	x.settle()
}

// TunnelDue returns the loop time at which TunnelLate is to be called unless more has passed by then. While a side is still to take
// what was sent, the other is not read: that is no silence. How long the slow side may take for it is, as with bodies, its
// connection's business.
func (x *Exchange) TunnelDue() int64 {
	since := x.tunnel.moved
	if x.up.Paused() || x.up.Pending() > 0 {
		since = x.host.Now()
	}
	return min(since+int64(x.tunnel.rules.Idle), x.tunnel.until)
}

// taken notes that a side has taken what was sent.
func (x *Exchange) taken() {
	x.tunnel.moved = x.host.Now()
	x.settle()
}

// TunnelLate breaks the tunnel off: nothing has passed for too long, or it has lasted long enough.
func (x *Exchange) TunnelLate() {
	x.rec.Tunnel = TunnelIdle
	if x.host.Now() >= x.tunnel.until {
		x.rec.Tunnel = TunnelLife
	}
	x.breakOff()
}

// tunnelFailed ends a tunnel whose backend has gone. If it had finished before, only what the client still sends is
// lost, as it would be without us.
func (x *Exchange) tunnelFailed(fault message.Fault) {
	if x.tunnel.outEnded && fault == message.FaultIncomplete {
		x.seal()
		return
	}
	x.rec.Tunnel, x.rec.Reason = TunnelBackend, reason.OfFault(fault)
	x.breakOff()
}

// settle ends the tunnel when both sides have finished and the backend has taken everything; what waits for the client
// its connection still sends.
func (x *Exchange) settle() {
	if x.state == tunnel && x.tunnel.inEnded && x.tunnel.outEnded && x.up.Pending() == 0 {
		x.seal()
	}
}

// seal ends a tunnel well.
func (x *Exchange) seal() {
	x.rec.Tunnel = TunnelFinished
	x.answered = true
	x.finish()
	x.front.End()
	x.front.Flush()
}

// bequeath ends a tunnel well whose client has left after both sides had finished: what it has said still goes to the backend.
func (x *Exchange) bequeath() {
	x.rec.Tunnel = TunnelFinished
	x.answered = true
	x.finish()
}

// leaveTunnel gives back the places that offer took.
func (x *Exchange) leaveTunnel() {
	if x.tunnel.place != nil {
		x.tunnel.place.ReleaseTunnel()
		x.host.LeaveTunnel()
		x.tunnel = tunnelling{}
	}
}
