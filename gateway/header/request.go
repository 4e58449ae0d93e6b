// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// Request holds what the gateway says about itself and the client when it sends
// a request on. All slices must stay valid until the head is serialised. An
// empty slice means the field is not sent.
type Request struct {
	Host     []byte // the backend's authority
	Via      []byte // our pseudonym, e.g. "pvgate-gw.example.de"
	For      []byte // text form of the client's address, IPv6 without brackets
	Proto    []byte // "http" or "https": how the client reached us
	OrigHost []byte // the authority the client asked for

	Leistung, ARS, Level, Sender, OE, Language []byte // PV- fields

	Traceparent []byte
	KnownSender bool // the peer may tell us who is behind it
	// Chain is what a known sender behind trusted proxies says; nil: there are none,
	// and the fields are all its own.
	Chain         *Chain
	Chunked       bool  // the body goes upstream in chunks
	ContentLength int64 // octets; -1 = no body or chunked

	// Upgrade is the one protocol that is offered to the backend, of those the client asked for (RFC 9110, section 7.8).
	Upgrade []byte

	// Edit is the operator's; nil = none.
	Edit *Edit

	// Scratch holds what Apply writes; it is appended to and kept, so the
	// owner empties it (Scratch[:0]) when the head is serialised.
	Scratch []byte
}

// Removed counts the fields Apply took out because the client had no right to
// say them. Hop-by-hop fields are not counted, nor is anything a known sender
// may say.
type Removed struct {
	PV        int // PV- names
	Forwarded int // Forwarded, X-Forwarded-…, X-Real-IP and their like
	Identity  int // names by which portals hand on a person or a certificate
	Alias     int // names spelled to be mistaken for a protected one, and Proxy
}

// Any reports whether anything was removed.
func (r Removed) Any() bool { return r != Removed{} }

// Apply turns the client's fields in h into the fields for the backend, Host
// first, and puts the gateway's own into h.Own. It returns FaultLoop if the
// request has been here before or through too many others, FaultGrammar if its
// fields contradict each other; then h is as it was but for IDs, and must not be
// sent.
func (r *Request) Apply(h *message.Head) (removed Removed, fault message.Fault) {
	there := message.FieldsOf(h.Fields) // most requests have little of what follows
	if there.Has(message.Connection) && !nominate(h.Fields) {
		return removed, message.FaultGrammar
	}
	if (there.Has(message.Authorization) || there.Has(message.Origin)) && !singletons(h.Fields) {
		return removed, message.FaultGrammar
	}
	var via, hops, hopsX []byte
	if there.Has(message.Via) {
		via, r.Scratch = Join(h.Fields, message.Via, r.Scratch)
		if loop(via, r.Via) {
			return removed, message.FaultLoop
		}
	}
	if r.KnownSender {
		hops, hopsX = r.chains(h)
	}
	removed = r.filter(h)
	if r.Chain != nil {
		removed.Forwarded = 0 // a trusted proxy's
	}
	if r.Edit != nil {
		h.Fields = r.Edit.apply(h.Fields)
	}
	from := len(r.Scratch)
	own := appendFraming(r.Scratch, r.Chunked, r.ContentLength)
	if len(r.Upgrade) > 0 {
		own = appendField(own, nameConnection, valueUpgrade)
		own = appendField(own, nameUpgrade, r.Upgrade)
	}
	if h.Expect100 {
		own = append(own, nameExpect+"100-continue\r\n"...)
	}
	own = appendVia(own, h.Major, h.Minor, via, r.Via)
	own = r.appendForwarded(own, hops, hopsX)
	own = appendField(own, namePVLeistung, r.Leistung)
	own = appendField(own, namePVARS, r.ARS)
	own = appendField(own, namePVLevel, r.Level)
	own = appendField(own, namePVSender, r.Sender)
	own = appendField(own, namePVOE, r.OE)
	own = appendField(own, namePVLanguage, r.Language)
	own = appendField(own, nameTraceparent, r.Traceparent)
	h.Own, r.Scratch = own[from:], own
	return removed, message.FaultNone
}

// filter puts our Host first and keeps what the client may say to the backend.
func (r *Request) filter(h *message.Head) (removed Removed) {
	host := message.Field{Name: nameHost, Value: r.Host, ID: message.Host}
	at := 0
	for at < len(h.Fields) && h.Fields[at].ID != message.Host {
		at++
	}
	if at == len(h.Fields) {
		h.Fields = append(h.Fields, host)
	}
	if at > 0 {
		copy(h.Fields[1:at+1], h.Fields[:at])
	}
	h.Fields[0] = host
	kept := 1
	for i := 1; i < len(h.Fields); i++ {
		if id := h.Fields[i].ID; !id.Passes() && !keep(id, r.KnownSender, &removed) {
			continue
		}
		if kept != i { // a copy costs more than all the rest here
			h.Fields[kept] = h.Fields[i]
		}
		kept++
	}
	h.Fields = h.Fields[:kept]
	return removed
}

// Forged counts the fields that Apply would take out of a request, for one that is answered without a backend.
func Forged(fields []message.Field, knownSender bool) (n Removed) {
	for i := range fields {
		if id := fields[i].ID; !id.Passes() {
			keep(id, knownSender, &n)
		}
	}
	return n
}

// keep decides about one field of the client that does not pass by its kind.
func keep(id message.FieldID, knownSender bool, removed *Removed) bool {
	switch {
	case hopByHop.Has(id):
		return false
	case id.PV():
		// Even a known sender's are never passed as sent: the gateway sets its own.
		if !knownSender {
			removed.PV++
		}
		return false
	}
	switch id {
	case message.Host, message.Via, message.Expect, message.Traceparent:
		return false // set by us
	case message.MaxForwards, message.EarlyData:
		return false // statements about this hop
	case message.Tracestate:
		return knownSender
	case message.Forwarded, message.XForwardedFor, message.XForwardedProto, message.XForwardedHost,
		message.XForwardedOther, message.XRealIP, message.XClientIP:
		if !knownSender {
			removed.Forwarded++
		}
		return false
	case message.Identity:
		removed.Identity++
		return false
	case message.Alias, message.Proxy:
		removed.Alias++
		return false
	default:
		return true
	}
}

// singletons reports whether no field that must stand once stands twice with
// different values: gateway and backend could each believe another one.
// Content-Type is not among them: nothing here reads it, and portals send it twice.
func singletons(fields []message.Field) bool {
	var seen [2][]byte
	for i := range fields {
		var k int
		switch fields[i].ID {
		case message.Authorization:
			k = 0
		case message.Origin:
			k = 1
		default:
			continue
		}
		if seen[k] == nil {
			seen[k] = fields[i].Value
		} else if !bytes.Equal(seen[k], fields[i].Value) {
			return false
		} else {
			fields[i].ID = message.KeepAlive // once is enough
		}
	}
	return true
}

// loop reports whether the Via list holds our pseudonym or too many entries.
func loop(via, pseudonym []byte) bool {
	entries := 0
	for entry, rest := message.NextMember(via); entry != nil; entry, rest = message.NextMember(rest) {
		if entries++; entries > maxVia {
			return true
		}
		// received-protocol RWS received-by [ RWS comment ]
		space := bytes.IndexAny(entry, " \t")
		if space < 0 {
			continue
		}
		by := message.TrimOWS(entry[space:])
		if end := bytes.IndexAny(by, " \t("); end >= 0 {
			by = by[:end]
		}
		if len(pseudonym) > 0 && message.EqualFold(by, pseudonym) {
			return true
		}
	}
	return false
}
