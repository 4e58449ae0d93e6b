// SPDX-License-Identifier: EUPL-1.2

package http1

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/pvgate/pvgate/gateway/message"
)

// feeder is what Server and Client have in common.
type feeder interface {
	Feed(in []byte, h *message.Head) (int, Event, []byte)
	Cause() string
}

// transcript feeds input in the given pieces, as a caller with a buffer would,
// and writes down what came out: "GET /a amt.example 1.1 len=5 close {A: b}",
// "data hello", "end", "fail bare-lf". Adjacent data is joined, since how it is
// cut is the caller's doing. Each call sees a buffer of its own that is
// overwritten after it, so a machine that kept a slice would be found out.
func transcript(m feeder, pieces ...[]byte) string {
	var out []string
	var data strings.Builder
	flush := func() {
		if data.Len() > 0 {
			out = append(out, "data "+data.String())
			data.Reset()
		}
	}
	var pending []byte
	var h message.Head
	for _, piece := range pieces {
		pending = append(pending, piece...)
		for {
			buf := append(make([]byte, 0, len(pending)), pending...)
			n, ev, d := m.Feed(buf, &h)
			if ev == Data {
				data.Write(d)
			} else if ev != More {
				flush()
			}
			switch ev {
			case HeadDone:
				out = append(out, describe(&h))
			case Interim:
				out = append(out, "interim "+describe(&h))
			case End:
				out = append(out, "end")
			case Failed:
				return strings.Join(append(out, "fail "+m.Cause()), "; ")
			}
			for i := range buf {
				buf[i] = 0xdb
			}
			pending = pending[n:]
			if ev == More || ev == Data && n == 0 {
				break
			}
			if c, ok := m.(*Client); ok && ev == End {
				if c.Reusable() {
					out = append(out, "reusable")
				}
				if len(pending) == 0 {
					break
				}
			}
		}
	}
	flush()
	return strings.Join(out, "; ")
}

func describe(h *message.Head) string {
	var b strings.Builder
	if h.Status != 0 {
		fmt.Fprintf(&b, "%d", h.Status)
	} else {
		fmt.Fprintf(&b, "%s %s", h.MethodText, h.Path)
		if h.HasQuery {
			fmt.Fprintf(&b, "?%s", h.Query)
		}
		if h.Asterisk {
			b.WriteString("*")
		}
		fmt.Fprintf(&b, " %s", h.Authority)
	}
	fmt.Fprintf(&b, " 1.%d", h.Minor)
	if h.ContentLength >= 0 {
		fmt.Fprintf(&b, " len=%d", h.ContentLength)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{h.Chunked, "chunked"}, {h.Close, "close"}, {h.Expect100, "expect"}, {h.Upgrade, "upgrade"}} {
		if flag.on {
			b.WriteString(" " + flag.name)
		}
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == message.FieldOther {
			fmt.Fprintf(&b, " {%s: %s}", f.Name, f.Value)
		}
	}
	return b.String()
}

// cuts returns ways to cut input: whole, octet by octet, and in two at every place.
func cuts(input []byte) [][][]byte {
	single := make([][]byte, len(input))
	for i := range input {
		single[i] = input[i : i+1]
	}
	all := [][][]byte{{input}, single}
	step := 1 + len(input)/300 // long inputs: not at every place
	for i := 1; i < len(input); i += step {
		all = append(all, [][]byte{input[:i], input[i:]})
	}
	return all
}

func testLimits() *Limits {
	return &Limits{Line: 200, Head: 600, Fields: 10, Body: 1 << 20, ChunkOverhead: 300, Interim: 3}
}

func newServer(l *Limits) *Server {
	s := new(Server)
	s.Init(l)
	return s
}

func newClient(l *Limits, isHEAD, offered bool) *Client {
	c := new(Client)
	c.Init(l)
	c.Start(isHEAD, offered)
	return c
}

func sizeOf[T any]() uintptr {
	var v T
	return unsafe.Sizeof(v)
}
