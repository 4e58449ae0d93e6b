// SPDX-License-Identifier: EUPL-1.2

package dns

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what a server says of a name and type.
type zone struct {
	rcode     dnsmessage.RCode
	via       []string // CNAMEs on the way
	addresses []netip.Addr
	ttl       uint32
	cut       bool // over UDP the answer is cut
	silent    bool
	foreign   bool // an answer to another question comes first
}

// server is a scripted DNS server on the loopback, UDP and TCP.
type server struct {
	udp net.PacketConn
	tcp net.Listener

	mu      sync.Mutex // guards what follows
	zones   map[string]zone
	queries map[string]int // by name, type and network
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{zones: map[string]zone{}, queries: map[string]int{}}
	var err error
	if s.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if s.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(s.serveUDP)
	wg.Go(func() {
		for {
			c, err := s.tcp.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serveTCP(c) })
		}
	})
	t.Cleanup(func() {
		_ = s.udp.Close()
		_ = s.tcp.Close()
		wg.Wait()
	})
	return s
}

// dial leads every question to this server.
func (s *server) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	to := s.udp.LocalAddr().String()
	if network == "tcp" {
		to = s.tcp.Addr().String()
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// set scripts "host." with type "A" or "AAAA".
func (s *server) set(name, kind string, z zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[name+" "+kind] = z
}

func (s *server) asked(name, kind, network string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[name+" "+kind+" "+network]
}

func (s *server) serveUDP() {
	b := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(b)
		if err != nil {
			return
		}
		for _, m := range s.answer(b[:n], "udp") {
			_, _ = s.udp.WriteTo(m, from)
		}
	}
}

func (s *server) serveTCP(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		for _, m := range s.answer(b, "tcp") {
			if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)); err != nil {
				return
			}
		}
	}
}

func (s *server) answer(query []byte, network string) (messages [][]byte) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	kind := q.Type.String()[len("Type"):]
	s.mu.Lock()
	s.queries[q.Name.String()+" "+kind+" "+network]++
	z, ok := s.zones[q.Name.String()+" "+kind]
	s.mu.Unlock()
	if !ok {
		z.rcode = dnsmessage.RCodeNameError
	}
	if z.silent {
		return nil
	}
	if z.foreign {
		other := q
		other.Name = dnsmessage.MustNewName("other.example.")
		messages = append(messages, reply1(h.ID, other, zone{addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, ttl: 1}, false))
		messages = append(messages, reply1(h.ID+1, q, zone{addresses: []netip.Addr{netip.MustParseAddr("9.9.9.8")}, ttl: 1}, false))
	}
	return append(messages, reply1(h.ID, q, z, z.cut && network == "udp"))
}

func reply1(id uint16, q dnsmessage.Question, z zone, cut bool) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, Response: true, RecursionAvailable: true, RCode: z.rcode, Truncated: cut})
	b.EnableCompression()
	must(b.StartQuestions())
	must(b.Question(q))
	must(b.StartAnswers())
	name := q.Name
	for _, v := range z.via {
		next := dnsmessage.MustNewName(v)
		must(b.CNAMEResource(dnsmessage.ResourceHeader{Name: name, Class: q.Class, TTL: z.ttl}, dnsmessage.CNAMEResource{CNAME: next}))
		name = next
	}
	for i, a := range z.addresses {
		if cut && i == 3 {
			break
		}
		h := dnsmessage.ResourceHeader{Name: name, Class: q.Class, TTL: z.ttl + uint32(i)}
		if a.Is4() {
			must(b.AResource(h, dnsmessage.AResource{A: a.As4()}))
		} else {
			must(b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	m, err := b.Finish()
	must(err)
	return m
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
