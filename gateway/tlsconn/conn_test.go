// SPDX-License-Identifier: EUPL-1.2

package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

var (
	here = netip.MustParseAddrPort("10.0.0.1:443")
	from = netip.MustParseAddrPort("192.0.2.1:4000")
	far  = netip.MustParseAddrPort("10.0.0.9:443")
)

// echo is an owner that sends back what it reads.
type echo struct {
	stream  loop.Stream
	conn    *tlsconn.Conn
	name    string
	peer    *tlsconn.Peer
	open    bool
	refused int // cause + 1
	ended   bool
}

func (e *echo) Connected(syscall.Errno) {}
func (e *echo) Drained()                {}
func (e *echo) Stuck()                  {}
func (e *echo) Expire(int64)            {}
func (e *echo) Broken()                 { e.ended = true; e.conn.Close() }
func (e *echo) Refused(c tlsconn.Cause) { e.refused = int(c) + 1; e.Broken() }
func (e *echo) Secured(name, _ string, peer *tlsconn.Peer) {
	e.stream.Own(e)
	e.open, e.name, e.peer = true, name, peer
	e.Readable()
}

func (e *echo) Readable() {
	b := e.stream.Loop().ReadBuffer()
	for range 100 {
		n, st := e.conn.Read(b)
		switch st {
		case loop.Data:
			e.conn.Write(b[:n])
		case loop.Again:
			return
		default:
			e.Broken()
			return
		}
	}
	e.stream.Again()
}

// stage is one loop with a listener, on a simulated machine.
type stage struct {
	t       testing.TB
	net     *simsys.Net
	loop    *loop.Loop
	host    *tlsconn.Host
	workers *tlsconn.Workers
	ca      *gatewaytest.Authority
	echoes  []*echo
	work    bool // workers work
}

func newStage(t testing.TB, f simsys.Faults, config func(*tls.Config)) *stage {
	t.Helper()
	s := &stage{t: t, net: simsys.New(1, f), ca: gatewaytest.NewAuthority(t), work: true}
	s.loop = loop.New(loop.Options{Kernel: s.net.Kernel(), Poison: true})
	s.loop.Balance([]*loop.Loop{s.loop})
	s.workers = tlsconn.NewWorkers(0, nil)
	s.host = tlsconn.NewHost(s.loop, s.workers)
	o := tlsconn.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{s.ca.Issue(t, "a.example")}, ClientCAs: s.ca.Pool, MinVersion: tls.VersionTLS12,
	}, Tickets: tlsconn.NewTickets()}
	if config != nil {
		config(o.TLS)
	}
	c, err := tlsconn.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, e := s.loop.Listen(s.net.LoopSocket(here), func(l *loop.Loop) loop.Accepted {
		return func(_ *loop.Loop, fd int32, peer netip.AddrPort) {
			o := new(echo)
			l.Adopt(fd, peer, &o.stream, o)
			s.echoes = append(s.echoes, o)
			o.conn = s.host.Accept(c, &o.stream, o)
			o.conn.Begin(nil)
		}
	}); e != 0 {
		t.Fatal(e)
	}
	return s
}

// settle turns until nothing moves any more.
func (s *stage) settle(clients ...*simsys.Secure) {
	for quiet := 0; quiet < 3; {
		for s.work && s.workers.Work() {
		}
		for _, c := range clients {
			c.Pump()
		}
		s.loop.Turn()
		if quiet++; s.net.Moved() {
			quiet = 0
		}
	}
}

func (s *stage) client(version uint16) *tls.Config {
	return &tls.Config{RootCAs: s.ca.Pool, ServerName: "a.example", MinVersion: tls.VersionTLS12, MaxVersion: version}
}

func (s *stage) dial(c *tls.Config) *simsys.Secure { return s.net.Dial(from, here).Secure(c, false) }

// drained fails if anything has been kept.
func (s *stage) drained() {
	s.t.Helper()
	s.settle()
	if st := s.loop.Stats(); st.Streams != 0 || st.Lent != 0 || s.host.Stats().Waiting != 0 {
		s.t.Errorf("%d streams, %d buffers, %d waiting handshakes are kept", st.Streams, st.Lent, s.host.Stats().Waiting)
	}
}

func TestOctetsPassWhole(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		for _, f := range []simsys.Faults{{}, {Short: 500, Again: 300, Interrupt: 100, Late: 400}} {
			s := newStage(t, f, nil)
			c := s.dial(s.client(version))
			s.settle(c)
			var got []byte
			var want strings.Builder
			for _, n := range []int{1, 100, 16 << 10, 16<<10 + 1, 64 << 10, 200_000} {
				piece := strings.Repeat(string(rune('a'+n%26)), n)
				want.WriteString(piece)
				for b := []byte(piece); len(b) > 0; {
					k := c.Write(b[:min(len(b), 20_000)])
					b = b[k:]
					s.settle(c)
					got = append(got, c.Read()...)
				}
			}
			for range 1000 {
				s.settle(c)
				got = append(got, c.Read()...)
			}
			if !bytes.Equal(got, []byte(want.String())) {
				t.Errorf("%s: got %d octets back, want %d, %v", name, len(got), want.Len(), c.Err())
			}
			c.CloseWrite()
			s.settle(c)
			if !c.EOF() || c.Broken() {
				t.Errorf("%s: the end was not said", name)
			}
			c.Close()
			s.drained()
		}
	}
}

func TestKeysMayChangeAtAnyTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, simsys.Faults{}, nil)
	var keys bytes.Buffer
	config := s.client(tls.VersionTLS13)
	config.KeyLogWriter = &keys
	c := s.dial(config)
	s.settle(c)
	u := newUpdater(t, keys.String())
	for range 20 {
		c.Raw(u.Update())
		s.settle(c)
		c.Raw(u.Record(23, "question"))
		s.settle(c)
		if got := string(c.Read()); got != "question" {
			t.Fatalf("got %q, %v", got, c.Err())
		}
	}
	// Without a word between them they are a flood, which crypto/tls ends.
	for range 100 {
		c.Raw(u.Update())
	}
	s.settle(c)
	if !s.echoes[0].ended {
		t.Error("a flood of KeyUpdate was borne")
	}
	c.Close()
	s.drained()
}

func TestPeersAreNamed(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		s := newStage(t, simsys.Faults{}, func(c *tls.Config) { c.ClientAuth = tls.VerifyClientCertIfGiven })
		mine := s.ca.Issue(t, "portal.example", "spiffe://portal/1", "cn:Portal")
		with := s.client(version)
		with.Certificates = []tls.Certificate{mine}
		a, b := s.dial(with), s.dial(s.client(version))
		s.settle(a, b)
		if p := s.echoes[0].peer; p == nil || len(p.Fingerprint) != 64 || strings.Join(p.Names, " ") != "dns:portal.example uri:spiffe://portal/1 cn:Portal" {
			t.Errorf("%s: got %+v", name, p)
		}
		if p := s.echoes[1].peer; p != nil || s.echoes[1].name != "a.example" {
			t.Errorf("%s: got %+v for nobody", name, p)
		}
		strangers := gatewaytest.NewAuthority(t)
		with.Certificates = []tls.Certificate{strangers.Issue(t, "portal.example")}
		with.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &with.Certificates[0], nil }
		c := s.dial(with)
		s.settle(c)
		if s.echoes[2].open || s.echoes[2].refused != int(tlsconn.Failed)+1 {
			t.Errorf("%s: a stranger's certificate was taken", name)
		}
	}
}

func TestHandshakesAreBounded(t *testing.T) {
	t.Parallel()
	long := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 16<<10-4)...)
	for name, c := range map[string]struct {
		sends string
		after time.Duration
		cause tlsconn.Cause
	}{
		"not TLS":    {"GET / HTTP/1.1\r\n", 0, tlsconn.NotTLS},
		"silent":     {"", 11 * time.Second, tlsconn.TimedOut},
		"unfinished": {"\x16\x03\x01\x01\x00\x01", 11 * time.Second, tlsconn.TimedOut},
		"nonsense":   {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 0, tlsconn.Failed},
		"too long":   {strings.Repeat(string(long), 5), 0, tlsconn.Failed},
		"old":        {"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x02" + strings.Repeat("r", 32) + "\x00\x00\x04\x00\x05\x00\x2f\x01\x00", 0, tlsconn.Failed},
	} {
		s := newStage(t, simsys.Faults{}, nil)
		e := s.net.Dial(from, here)
		for b := []byte(c.sends); len(b) > 0; {
			n := e.Write(b)
			b = b[n:]
			s.settle()
			if n == 0 || len(s.echoes) > 0 && s.echoes[0].refused != 0 {
				break
			}
		}
		s.settle()
		if c.after > 0 {
			if s.echoes[0].refused != 0 {
				t.Errorf("%s: given up too early", name)
			}
			s.net.Advance(c.after)
			s.settle()
		}
		if got := s.echoes[0].refused - 1; got != int(c.cause) {
			t.Errorf("%s: got cause %d, want %d", name, got, c.cause)
		}
		e.Close()
		s.drained()
	}
}

// Behind 64 silent clients and 64 that send octet by octet nobody waits: they hold no worker.
func TestRS11SlowHandshakesHoldNoSlot(t *testing.T) {
	t.Parallel()
	s := newStage(t, simsys.Faults{}, nil)
	s.work = false
	var slow []*simsys.Secure
	for range 64 {
		s.net.Dial(from, here)
		c := s.net.Dial(from, here).Secure(s.client(0), true)
		slow = append(slow, c)
	}
	for range 64 {
		s.settle()
		for _, c := range slow {
			c.Pump() // one octet each
		}
	}
	s.settle()
	if s.workers.Work() {
		t.Error("a handshake that waits for its client wants a worker")
	}
	s.work = true
	honest := s.dial(s.client(0))
	s.settle(honest)
	if !honest.Done() {
		t.Errorf("the honest one is not done: %v", honest.Err())
	}
}

// More clients than have room say hello and no more: only so many keep memory, the eldest go, and an honest one gets through.
func TestRS11AFloodOfHellosIsBounded(t *testing.T) {
	t.Parallel()
	const floods = 1300
	s := newStage(t, simsys.Faults{}, nil)
	most := 0
	for i := range floods {
		c := s.net.Dial(from, here).Secure(s.client(tls.VersionTLS13), false)
		s.loop.Turn()
		s.loop.Turn()
		for s.workers.Work() {
		}
		s.loop.Turn()
		most = max(most, s.host.Stats().Waiting)
		_ = c
		if i%1000 == 500 {
			honest := s.dial(s.client(0))
			s.settle(honest)
			if !honest.Done() {
				t.Fatalf("after %d: the honest one is not done: %v", i, honest.Err())
			}
		}
	}
	s.settle()
	if most > 1025 || s.host.Stats().Waiting > 1024 {
		t.Errorf("%d handshakes were held at a time, %d are", most, s.host.Stats().Waiting)
	}
	crowded := 0
	for _, e := range s.echoes {
		if e.refused == int(tlsconn.Crowded)+1 {
			crowded++
		}
	}
	if want := floods - 1024; crowded != want {
		t.Errorf("%d were given up, want the %d eldest", crowded, want)
	}
	for _, e := range s.echoes {
		if !e.ended {
			e.Broken()
		}
	}
	s.drained()
	s.workers.Close()
}

// Whatever comes, from the first octet or after a handshake, in whatever pieces: nothing breaks and nothing is kept.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), byte(0), false)
	f.Add([]byte("\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), byte(1), true)
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), byte(3), true)
	f.Add([]byte("\x16\x03\x03\xff\xff"), byte(0), true)
	f.Fuzz(func(t *testing.T, data []byte, piece byte, after bool) {
		s := newStage(t, simsys.Faults{}, nil)
		end := s.net.Dial(from, here)
		if after {
			c := end.Secure(s.client(tls.VersionTLS13), false)
			s.settle(c)
			if !c.Done() {
				t.Fatal(c.Err())
			}
		}
		for len(data) > 0 {
			n := end.Write(data[:min(len(data), int(piece)+1)])
			data = data[n:]
			s.settle()
			if n == 0 {
				break
			}
		}
		if after && s.echoes[0].name != "a.example" {
			t.Fatal("not open")
		}
		end.Close()
		s.settle()
		s.net.Advance(11 * time.Second)
		s.drained()
	})
}
