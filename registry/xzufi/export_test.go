// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"context"
	"io"
	"strings"
)

// WithWindow reads n bytes at a time, so that a short message crosses the window's end often.
func (o Options) WithWindow(n int) Options {
	o.window = n
	return o
}

// Seen is a document as the scanner sees it, element by element: "<name attribute=value", texts, ">". An element that is not
// XZuFi's has no name. Attributes that declare prefixes are none.
func Seen(ctx context.Context, r io.Reader, o Options) (events []string, err error) {
	s := newScanner(ctx, r, &o)
	d := decoder{scanner: s}
	if name, ok := s.child(noText); ok {
		events = s.see(events, name)
	}
	if s.err == nil {
		d.epilog()
	}
	return events, s.err
}

func (s *scanner) see(events []string, name []byte) []string {
	var b strings.Builder
	b.WriteString("<" + string(name))
	for _, a := range s.attrs {
		if prefix, local := cutPrefix(a.name); string(prefix) != "xmlns" && string(a.name) != "xmlns" {
			b.WriteString(" " + string(local) + "=" + string(s.unescape(nil, a.value, s.pos, true)))
		}
	}
	events = append(events, b.String())
	for {
		s.value = s.value[:0]
		name, ok := s.child(keep)
		if len(s.value) > 0 {
			events = append(events, string(s.value))
		}
		if !ok {
			return append(events, ">")
		}
		events = s.see(events, name)
	}
}
