// SPDX-License-Identifier: EUPL-1.2

package dns

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// hostsTTL is for answers that no server gave: those of the hosts file.
const hostsTTL = 30 * time.Second

// Answer is what a name leads to.
type Answer struct {
	// Addresses are in the order in which they are tried; at least one.
	Addresses []netip.Addr
	// TTL is the shortest of the records'.
	TTL time.Duration
	// NoFour and NoSix say that the addresses of a family are missing because nobody could be asked for them.
	NoFour, NoSix bool
}

// Lookup asks for the addresses of a host. The error is a *net.DNSError, or the context's.
type Lookup func(ctx context.Context, host string) (Answer, error)

// System returns the look-up of this machine: nsswitch.conf, hosts file, resolv.conf with its search list, servers, tries
// and time limits, EDNS, TCP where an answer is cut. It is that of package net, which does not tell how long an answer is
// good: that is read along on the connections to the servers. dial opens those; nil is for a net.Dialer's.
func System(dial func(ctx context.Context, network, address string) (net.Conn, error)) Lookup {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, host string) (Answer, error) {
		var seen replies
		resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return seen.tap(c), nil
		}}
		found, err := resolver.LookupNetIP(ctx, "ip", host)
		a := seen.answer()
		if err == nil {
			a.Addresses = found // the same, and sorted
		}
		if a.Addresses = order(a.Addresses); len(a.Addresses) > 0 {
			return a, nil
		}
		if err == nil {
			err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
		}
		return Answer{}, err
	}
}

// order brings addresses into the order in which they are tried: the families alternate, beginning with the first one's
// (RFC 8305, section 4); among those of one family it stays as it was. At most maxAddresses are kept, each once.
func order(found []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, a := range found {
		a = a.Unmap()
		f := &families[0]
		if a.Is4() != found[0].Unmap().Is4() {
			f = &families[1]
		}
		if len(*f) < maxAddresses && !slices.Contains(*f, a) {
			*f = append(*f, a)
		}
	}
	var out []netip.Addr
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) && len(out) < maxAddresses {
				out = append(out, f[i])
			}
		}
	}
	return out
}

// replies are those of servers to the questions of one look-up. Safe for concurrent use: both families are asked at once.
type replies struct {
	mu  sync.Mutex // guards what follows
	all []reply
}

// reply is what a server said about a name and type.
type reply struct {
	question  dnsmessage.Question
	addresses []netip.Addr
	ttl       uint32 // s
	negative  bool   // the name, or addresses of the type, do not exist
}

// answer is what the replies say. A search list is gone through until one name has addresses: what they say is of that
// name.
func (r *replies) answer() Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := Answer{TTL: hostsTTL}
	var name dnsmessage.Name
	for i := range r.all {
		if s := &r.all[i]; len(s.addresses) > 0 {
			ttl := time.Duration(s.ttl) * time.Second
			if name.Length == 0 || ttl < a.TTL {
				a.TTL = ttl
			}
			name = s.question.Name
			a.Addresses = append(a.Addresses, s.addresses...)
		}
	}
	if name.Length == 0 {
		return a
	}
	told := func(kind dnsmessage.Type) bool {
		return slices.ContainsFunc(r.all, func(s reply) bool {
			return s.question.Name == name && s.question.Type == kind && (s.negative || len(s.addresses) > 0)
		})
	}
	a.NoFour, a.NoSix = !told(dnsmessage.TypeA), !told(dnsmessage.TypeAAAA)
	return a
}

// read takes a server's message. What is no answer to the query is as if it had not come, as it is to package net.
func (r *replies) read(query, b []byte) {
	var asked, p dnsmessage.Parser
	sent, err := asked.Start(query)
	if err != nil {
		return
	}
	head, err := p.Start(b)
	if err != nil || head.ID != sent.ID || !head.Response {
		return
	}
	want, err := asked.Question()
	if err != nil {
		return
	}
	got, err := p.Question()
	if err != nil || got.Type != want.Type || got.Class != want.Class || !sameName(&got.Name, &want.Name) {
		return
	}
	s := reply{question: want}
	if err := s.records(&p); err != nil && !head.Truncated {
		return
	}
	s.negative = len(s.addresses) == 0 && !head.Truncated && (head.RCode == dnsmessage.RCodeSuccess || head.RCode == dnsmessage.RCodeNameError)
	if head.RCode != dnsmessage.RCodeSuccess || head.Truncated {
		s.addresses = nil // a whole one follows over TCP
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < maxReplies {
		r.all = append(r.all, s)
	}
}

// sameName compares without case (RFC 4343).
func sameName(a, b *dnsmessage.Name) bool {
	return bytes.EqualFold(a.Data[:a.Length], b.Data[:b.Length])
}

// records reads addresses and the time for which all that led to them is good.
func (s *reply) records(p *dnsmessage.Parser) error {
	if err := p.SkipAllQuestions(); err != nil {
		return err
	}
	s.ttl = 1 << 31
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Type {
		case dnsmessage.TypeA:
			var a dnsmessage.AResource
			if a, err = p.AResource(); err == nil {
				s.addresses = append(s.addresses, netip.AddrFrom4(a.A))
			}
		case dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			if a, err = p.AAAAResource(); err == nil {
				s.addresses = append(s.addresses, netip.AddrFrom16(a.AAAA))
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return err
		}
		s.ttl = min(s.ttl, h.TTL)
	}
}

// tap returns a connection to a server whose messages are read along.
func (r *replies) tap(c net.Conn) net.Conn {
	if u, ok := c.(*net.UDPConn); ok { // package net tells the two by this
		return &datagrams{UDPConn: u, to: r}
	}
	return &octets{Conn: c, to: r}
}

// datagrams are a connection with a message in each.
type datagrams struct {
	*net.UDPConn
	to    *replies
	query []byte
}

func (d *datagrams) Write(b []byte) (int, error) {
	d.query = append(d.query[:0], b...)
	return d.UDPConn.Write(b)
}

func (d *datagrams) Read(b []byte) (int, error) {
	n, err := d.UDPConn.Read(b)
	if err == nil {
		d.to.read(d.query, b[:n])
	}
	return n, err
}

// octets are a connection with a length before each message (RFC 1035, section 4.2.2).
type octets struct {
	net.Conn
	to    *replies
	query []byte
	in    []byte
}

func (o *octets) Write(b []byte) (int, error) {
	o.query = append(o.query, b...)
	return o.Conn.Write(b)
}

func (o *octets) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	o.in = append(o.in, b[:n]...)
	if len(o.in) >= 2 && len(o.query) >= 2 {
		if end := 2 + int(o.in[0])<<8 + int(o.in[1]); len(o.in) >= end {
			o.to.read(o.query[2:], o.in[2:end])
			o.in = o.in[:0]
		}
	}
	return n, err
}
