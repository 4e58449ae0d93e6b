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
	there, ends := message.FieldsOf(h.Fields), endHere
	if there.Has(message.Connection) && !nominate(h.Fields) {
		ends |= 1 << message.FieldOther // more names than we compare: keep nothing that may be one
	}
	if len(r.StrictTransport) > 0 {
		ends |= 1 << message.StrictTransportSecurity
	}
	var via []byte
	if there.Has(message.Via) {
		via, r.Scratch = Join(h.Fields, message.Via, r.Scratch)
	}
	kept := h.Fields[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		switch {
		case ends.Has(f.ID):
			continue
		case f.ID == message.Date:
			ends |= 1 << message.Date // one is enough
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
	l := list{kept, r.Scratch}
	if !there.Has(message.Date) {
		l.add(message.Date, nameDate, r.Date)
	}
	if h.Status >= 200 && h.Status != 204 {
		id, name := message.ContentLength, nameContentLength
		if r.Chunked {
			id, name = message.TransferEncoding, nameTransferEncoding
		}
		l.enter(id, name, appendFraming(l.text, r.Chunked, r.ContentLength))
	}
	switch {
	case len(r.Upgrade) > 0:
		l.add(message.Connection, nameConnection, valueUpgrade)
		l.add(message.Upgrade, nameUpgrade, r.Upgrade)
	case r.Close:
		l.add(message.Connection, nameConnection, valueClose)
	case r.KeepAlive10:
		l.add(message.Connection, nameConnection, valueKeepAlive)
	}
	l.enter(message.Via, nameVia, appendVia(l.text, h.Major, h.Minor, via, r.Via))
	l.add(message.StrictTransportSecurity, nameStrictTransport, r.StrictTransport)
	l.add(message.AltSvc, nameAltSvc, r.AltSvc)
	l.add(message.PVOther, namePVTrace, r.Trace)
	h.Fields, r.Scratch = l.fields, l.text
	return h.Fields
}

// endHere are the fields of a backend that never pass. Of the PV- names PV-Reason and PV-Trace are ours to say; Alt-Svc would
// lead the client past us to a host of the backend's choice.
const endHere = hopByHop | 1<<message.PVLeistung | 1<<message.PVARS | 1<<message.PVLanguage | 1<<message.PVSignature |
	1<<message.PVOther | 1<<message.Via | 1<<message.AltSvc

// list is a list of fields to which the gateway's own are added. These stand in text as they go over HTTP/1.1, one behind the
// other, so that whoever writes them there copies all at once.
type list struct {
	fields []message.Field
	text   []byte
}

// add adds a field unless its value is empty.
func (l *list) add(id message.FieldID, name string, value []byte) {
	if len(value) > 0 {
		l.enter(id, name, appendField(l.text, name, value))
	}
}

// enter enters the field whose line was appended to text, if one was.
func (l *list) enter(id message.FieldID, name string, text []byte) {
	line := text[len(l.text):]
	if len(line) == 0 {
		return
	}
	l.text = text
	l.fields = append(l.fields, message.Field{Name: line[:len(name)-len(": ")], Value: line[len(name) : len(line)-len("\r\n")], ID: id})
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
