// SPDX-License-Identifier: EUPL-1.2

package message

// Field is one field line. Name and Value are slices into the buffer the head
// was parsed from, or bytes owned by whoever added the field; Value has no
// leading or trailing whitespace. ID is Classify(Name).
type Field struct {
	Name, Value []byte
	ID          FieldID
}

// Head is the head of a request or a response. A parser fills it; its slices are
// valid as long as the buffer they point into. Reset before reuse keeps the
// capacity of Fields, so a reused Head costs no allocation.
type Head struct {
	Method     Method
	MethodText []byte // as received
	Target     []byte // request target as received
	Authority  []byte // Host, or the authority of an absolute-form target (checked equal); case as received
	Path       []byte // raw path of origin or absolute form; starts with "/"
	Query      []byte // raw query without "?"
	HasQuery   bool   // a "?" was there, even if Query is empty
	Asterisk   bool   // OPTIONS *; Path is empty

	Status int // response status code, 100…599

	Major  uint8   // of HTTP: 2 or 3, and 0 for 1
	Minor  uint8   // of HTTP/1.x: 0 or 1
	Fields []Field // in the order received
	Own    []byte  // of a request that is sent on: the lines that stand behind Fields, as they go over the wire

	ContentLength int64 // octets; -1 = no Content-Length
	Chunked       bool  // Transfer-Encoding: chunked
	Close         bool  // sender closes after this message (Connection: close, or HTTP/1.0 without keep-alive)
	Expect100     bool  // Expect: 100-continue on a request that has a body
	Upgrade       bool  // an Upgrade field, and Connection names it
	Connect       bool  // it came as an extended CONNECT (RFC 8441): no other answer than a change of protocol is a success
}

// Reset empties the head and keeps the storage of Fields.
func (h *Head) Reset() {
	*h = Head{Fields: h.Fields[:0], ContentLength: -1}
}

// Get returns the value of the first field with this ID, or nil. The value of a
// field that is present and empty is not nil.
func (h *Head) Get(id FieldID) []byte {
	for i := range h.Fields {
		if h.Fields[i].ID == id {
			return h.Fields[i].Value
		}
	}
	return nil
}

// Size is how many octets the texts of the head have.
func (h *Head) Size() int {
	n := len(h.MethodText) + len(h.Target) + len(h.Authority) + len(h.Path) + len(h.Query) + len(h.Own)
	for i := range h.Fields {
		n += len(h.Fields[i].Name) + len(h.Fields[i].Value)
	}
	return n
}

// Clone returns a head that shares nothing with h: what that came in may be used for others.
func (h *Head) Clone() Head {
	text := make([]byte, 0, h.Size())
	own := func(b []byte) []byte {
		if b == nil {
			return nil // of a field, that it is not there
		}
		at := len(text)
		text = append(text, b...)
		return text[at:len(text):len(text)]
	}
	c := *h
	c.Fields = make([]Field, len(h.Fields))
	for _, b := range [...]*[]byte{&c.MethodText, &c.Target, &c.Authority, &c.Path, &c.Query, &c.Own} {
		*b = own(*b)
	}
	for i := range h.Fields {
		c.Fields[i] = Field{Name: own(h.Fields[i].Name), Value: own(h.Fields[i].Value), ID: h.Fields[i].ID}
	}
	return c
}

// HasBody reports whether the framing fields of a request announce a body.
func (h *Head) HasBody() bool { return h.Chunked || h.ContentLength > 0 }

// Kept is the head of a request as it goes over a connection of HTTP/1.1, and what is not to be seen in its octets.
type Kept struct {
	Octets  []byte
	HEAD    bool // the method
	Chunked bool // the body's framing
	Upgrade bool // the protocol may change
}
