// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxBlock is the largest piece of a header block in one frame.
const maxBlock = 16 << 10

// streams is one connection of HTTP/2 to the gateway, which says whatever it is told.
type streams struct {
	conn   net.Conn
	out    bytes.Buffer
	block  bytes.Buffer
	framer *http2.Framer
	hpack  *hpack.Encoder
	by     map[uint32]*streamed
	ended  bool
}

// streamed is what came back on a stream.
type streamed struct {
	status, tag string
	body        []byte
	over        bool // answered or reset
	reset       bool
}

func (l *lane) dialStreams() (*streams, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: l.from}, Timeout: patience}
	conn, err := d.Dial("tcp", l.gateway2)
	if err != nil {
		return nil, fmt.Errorf("dial the gateway: %w", err)
	}
	if l.secure != nil {
		config := l.secure.Clone()
		config.NextProtos = []string{"h2"}
		conn = tls.Client(conn, config)
	}
	s := &streams{conn: conn, by: map[uint32]*streamed{}}
	s.framer = http2.NewFramer(&s.out, conn)
	s.framer.AllowIllegalWrites = true
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.hpack = hpack.NewEncoder(&s.block)
	s.out.WriteString(http2.ClientPreface)
	_ = s.framer.WriteSettings()
	return s, nil
}

// head gathers a header block; latin says that a character of it is an octet.
func (s *streams) head(id uint32, fields [][2]string, end bool) {
	s.block.Reset()
	for _, f := range fields {
		_ = s.hpack.WriteField(hpack.HeaderField{Name: octets(f[0]), Value: octets(f[1])})
	}
	b := s.block.Bytes()
	k := min(len(b), maxBlock)
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:k], EndStream: end, EndHeaders: k == len(b)})
	for b = b[k:]; len(b) > 0; b = b[k:] {
		k = min(len(b), maxBlock)
		_ = s.framer.WriteContinuation(id, k == len(b), b[:k])
	}
	s.by[id] = &streamed{}
}

// octets turns a text of the material into octets: what fits into one is one.
func octets(text string) string {
	var b []byte
	for _, r := range text {
		if r > 0xff {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
	}
	return string(b)
}

// talk sends what was gathered and reads until every stream is over, or the connection.
func (s *streams) talk() error {
	_ = s.conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = s.conn.Write(s.out.Bytes()) }() // what the gateway says before it has read all must not wait
	for !s.ended {
		open := false
		for _, x := range s.by {
			open = open || !x.over
		}
		if !open {
			return nil
		}
		f, err := s.framer.ReadFrame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errLate
		case err != nil:
			s.ended = true
			return nil
		}
		s.take(f)
	}
	return nil
}

func (s *streams) take(f http2.Frame) {
	x := s.by[f.Header().StreamID]
	if x == nil {
		return
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status != "100" {
			x.status = status
		}
		for _, field := range f.Fields {
			if field.Name == "origin-tag" {
				x.tag = field.Value
			}
		}
		x.over = f.StreamEnded()
	case *http2.DataFrame:
		x.body = append(x.body, f.Data()...)
		x.over = f.StreamEnded()
	case *http2.RSTStreamFrame:
		x.reset = x.reset || !x.over
		x.over = true
	}
}

// stream runs one case of HTTP/2, with a plain request on another stream right behind it.
func (l *lane) stream(k *kase) []finding {
	s, err := l.dialStreams()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer s.conn.Close()
	s.head(1, k.Headers, len(k.Body) == 0 && len(k.Trailers) == 0)
	if len(k.Body) > 0 {
		_ = s.framer.WriteData(1, len(k.Trailers) == 0, k.Body)
	}
	if len(k.Trailers) > 0 {
		answer := s.by[1]
		s.head(1, k.Trailers, true)
		s.by[1] = answer
	}
	l.seq++
	l.follows++
	target := fmt.Sprintf("%s%d/%d", followPrefix, l.id, l.seq)
	s.head(3, [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "gw.example"}, {":path", target}}, true)
	var found []finding
	if err := s.talk(); err != nil {
		found = append(found, finding{unclean, err.Error()})
	}
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	arrived, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	if !slices.ContainsFunc(all, func(a *arrival) bool { return a.request.Target == target }) {
		l.follows-- // refused with the connection
	}
	return append(found, s.judge(k, target, arrived)...)
}

// judge compares what came back and what arrived with what the case says.
func (s *streams) judge(k *kase, target string, arrived []*arrival) (found []finding) {
	one, behind := s.by[1], s.by[3]
	whole := slices.DeleteFunc(slices.Clone(arrived), func(a *arrival) bool { return !a.complete })
	switch {
	case len(whole) > 1, k.Policy == "reject" && len(whole) > 0:
		found = append(found, finding{forwarded, fmt.Sprintf("%d requests arrived: %s", len(whole), describe(whole))})
	case k.Policy == "reject" && one.status != "" && one.status < "400":
		found = append(found, finding{unowned, "refused with status " + one.status})
	case k.Policy == "accept" && (len(whole) != 1 || one.status != "200" || one.reset):
		found = append(found, finding{missing, fmt.Sprintf("%d requests arrived, answered %q, reset %v, the connection ended %v", len(whole), one.status, one.reset, s.ended)})
	case one.tag != "" && (len(whole) != 1 || whole[0].tag != one.tag):
		found = append(found, finding{unowned, "the answer has the tag " + one.tag + ", which no request of this case has"})
	}
	for _, a := range whole {
		if !bytes.Equal(a.request.Body, k.Body) {
			found = append(found, finding{altered, fmt.Sprintf("body %.60q arrived as %.60q", k.Body, a.request.Body)})
		}
		for _, f := range a.request.Fields {
			if f.Name == "Cookie" && k.Name == "h2/cookie-crumbs" && f.Value != "a=b; c=d" {
				found = append(found, finding{altered, "crumbs arrived as " + f.Value})
			}
		}
	}
	if _, rest, _ := bytes.Cut(behind.body, []byte(" ")); behind.status != "" && (behind.status != "200" || string(rest) != "GET "+target+"\n") {
		found = append(found, finding{unowned, fmt.Sprintf("the request behind got %s %.80q", behind.status, behind.body)})
	} else if behind.status == "" && !s.ended {
		found = append(found, finding{unowned, "the request behind got no answer"})
	}
	return found
}
