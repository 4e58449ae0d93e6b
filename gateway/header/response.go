// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// Response holds what the gateway says when it sends a response on. All slices
// must stay valid until the head is serialised. An empty slice means the field
// is not sent.
type Response struct {
	Via         []byte // our pseudonym
	Trace       []byte // PV-Trace
	Date        []byte // used if the backend sent none (RFC 9110, section 6.6.1)
	Close       bool   // send Connection: close
	KeepAlive10 bool   // send Connection: keep-alive (HTTP/1.0 client that asked)
	// StrictTransport is our own Strict-Transport-Security; then none of the backend's passes, for browsers heed the
	// first one only (RFC 6797, section 8.1).
	StrictTransport []byte
	AltSvc          []byte // our own Alt-Svc; none of the backend's passes

	Chunked       bool   // the body goes to the client in chunks
	ContentLength int64  // octets; -1 = none
	Upgrade       []byte // the protocol that a 101 agrees to

	// Where the answer appears, and what a backend must not say there.
	OwnCookie string // name of the gateway's own cookie, which no backend sets; "" = none
	// StayCookie is the name of another cookie of the gateway's own; "" = none.
	StayCookie string
	Prefix     []byte // stands before the backend's paths; empty at a host of its own
	Target     []byte // what the backend was asked for; needed with Prefix
	InPlace    bool   // at an address that is not the backend's own

	// Refers says after Apply that there are fields that refer to addresses.
	Refers bool

	// Edit is the operator's; nil = none.
	Edit *Edit

	// Scratch is as in Request.
	Scratch []byte
}

// Apply turns the backend's fields in h into the fields for the client and
// returns them. A response without body by its status (1xx, 204) gets no framing
// whatever r says (RFC 9110, section 8.6).
func (r *Response) Apply(h *message.Head) []message.Field {
	there := message.FieldsOf(h.Fields)
	tooMany := there.Has(message.Connection) && !nominate(h.Fields)
	var via []byte
	if there.Has(message.Via) {
		via, r.Scratch = Join(h.Fields, message.Via, r.Scratch)
	}
	date := false
	kept := h.Fields[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		switch {
		case hopByHop(f.ID), f.ID.PV():
			continue // PV-Reason and PV-Trace are ours to say
		case f.ID == message.StrictTransportSecurity && len(r.StrictTransport) > 0:
			continue
		case f.ID == message.Via, f.ID == message.AltSvc:
			// Alt-Svc would lead the client past us to a host of the backend's choice.
			continue
		case f.ID == message.FieldOther && tooMany:
			// More names in Connection than we compare: keep nothing that may be one.
			continue
		case f.ID == message.Date:
			if date {
				continue
			}
			date = true
		case f.ID >= message.SetCookie && f.ID <= message.StrictTransportSecurity:
			if !r.origin(f) {
				continue
			}
		}
		if len(kept) == i { // a copy costs more than all the rest here
			kept = kept[:i+1]
		} else {
			kept = append(kept, *f)
		}
	}
	if r.Edit != nil {
		kept = r.Edit.apply(kept)
	}
	if !date {
		kept = add(kept, message.Date, nameDate, r.Date)
	}
	if h.Status >= 200 && h.Status != 204 {
		kept, r.Scratch = addFraming(kept, r.Chunked, r.ContentLength, r.Scratch)
	}
	switch {
	case len(r.Upgrade) > 0:
		kept = addUpgrade(kept, r.Upgrade)
	case r.Close:
		kept = add(kept, message.Connection, nameConnection, valueClose)
	case r.KeepAlive10:
		kept = add(kept, message.Connection, nameConnection, valueKeepAlive)
	}
	kept, r.Scratch = addVia(kept, h.Major, h.Minor, via, r.Via, r.Scratch)
	kept = add(kept, message.StrictTransportSecurity, nameStrictTransport, r.StrictTransport)
	kept = add(kept, message.AltSvc, nameAltSvc, r.AltSvc)
	h.Fields = add(kept, message.PVOther, namePVTrace, r.Trace)
	return h.Fields
}

// origin decides about a field by which a backend could reach beyond its own origin: into other backends of the same
// host or domain. It may change the value.
func (r *Response) origin(f *message.Field) (keep bool) {
	away := r.InPlace || len(r.Prefix) > 0
	switch f.ID {
	case message.SetCookie:
		return !r.InPlace && r.cookie(f)
	case message.SetCookie2:
		return false // obsolete (RFC 6265, section 9.4); what still reads it reads Domain in it
	case message.SiteWide:
		return !away
	case message.StrictTransportSecurity:
		return !away && ownHost(f)
	default:
		r.Refers = true
		return true
	}
}

// ownHost makes a Strict-Transport-Security value speak of its own host only (RFC 6797, section 6.1): of all its
// directives it keeps max-age. It reports false if there is none.
func ownHost(f *message.Field) bool {
	for directive, rest := cutSemicolon(f.Value); directive != nil; directive, rest = cutSemicolon(rest) {
		name, _, _ := bytes.Cut(directive, equals)
		if message.EqualFold(message.TrimOWS(name), "max-age") {
			f.Value = message.TrimOWS(directive)
			return true
		}
	}
	return false
}
