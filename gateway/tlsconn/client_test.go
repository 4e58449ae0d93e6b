// SPDX-License-Identifier: EUPL-1.2

package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// dialing is an echo that connects by itself.
type dialing struct {
	echo
	s      *stage
	client *tlsconn.Client
}

func (d *dialing) Connected(err syscall.Errno) {
	if err != 0 {
		d.s.t.Fatal(err)
	}
	d.conn = d.s.host.Dial(d.client, &d.stream, d, d.s.loop.Now()+int64(2*time.Second))
}

// connect makes a connection to a server, who plays TLS by config unless that is nil.
func (s *stage) connect(o *tlsconn.ClientOptions, config *tls.Config) (*dialing, *simsys.End, *simsys.Secure) {
	s.t.Helper()
	if o.TLS == nil {
		o.TLS = &tls.Config{RootCAs: s.ca.Pool, ServerName: "a.example"}
	}
	client, err := tlsconn.NewClient(*o)
	if err != nil {
		s.t.Fatal(err)
	}
	d := &dialing{s: s, client: client}
	server := s.net.Listen(far)
	if err := s.loop.Dial(far, &d.stream, d); err != 0 {
		s.t.Fatal(err)
	}
	s.settle()
	end := server.Accept()
	if config == nil {
		return d, end, nil
	}
	secure := end.Serve(config, false)
	s.settle(secure)
	return d, end, secure
}

func (s *stage) server(names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.ca.Issue(s.t, names...)}}
}

func TestOctetsPassWholeFromServers(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		for _, f := range []simsys.Faults{{}, {Short: 500, Again: 300, Interrupt: 100, Late: 400}} {
			s := newStage(t, f, nil)
			config := s.server("a.example")
			config.MinVersion, config.MaxVersion = version, version
			d, _, c := s.connect(&tlsconn.ClientOptions{}, config)
			for range 1000 { // events may come late
				if s.settle(c); d.open {
					break
				}
			}
			var got, want []byte
			for _, n := range []int{1, 100, 16 << 10, 16<<10 + 1, 200_000} {
				piece := bytes.Repeat([]byte{byte(n)}, n)
				want = append(want, piece...)
				for len(piece) > 0 {
					k := c.Write(piece[:min(len(piece), 20_000)])
					piece = piece[k:]
					s.settle(c)
					got = append(got, c.Read()...)
				}
			}
			for range 1000 {
				s.settle(c)
				got = append(got, c.Read()...)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: got %d octets back, want %d, %v", name, len(got), len(want), c.Err())
			}
			c.Finish()
			s.settle(c)
			if !d.ended || d.conn.Cut() {
				t.Errorf("%s: ended %v, cut %v", name, d.ended, d.conn.Cut())
			}
			s.drained()
		}
	}
}

func TestEndWithoutCloseNotifyIsACut(t *testing.T) {
	t.Parallel()
	s := newStage(t, simsys.Faults{}, nil)
	d, _, c := s.connect(&tlsconn.ClientOptions{}, s.server("a.example"))
	c.Close()
	s.settle()
	if !d.ended || !d.conn.Cut() || d.conn.Rejected() {
		t.Errorf("ended %v, cut %v, rejected %v", d.ended, d.conn.Cut(), d.conn.Rejected())
	}
	s.drained()
}

func TestSessionsBelongToTheirServerAndPolicy(t *testing.T) {
	t.Parallel()
	s := newStage(t, simsys.Faults{}, nil)
	config := s.server("a.example", "b.example")
	sessions := tlsconn.NewSessions(2)
	for i, c := range []struct {
		name, policy string
		resumed      bool
	}{
		{"a.example", "1", false},
		{"a.example", "1", true},
		{"a.example", "2", false},
		{"a.example", "1", true},
		{"b.example", "1", false}, // of three, the one for policy 2 goes
		{"a.example", "1", true},
		{"a.example", "2", false},
	} {
		_, _, peer := s.connect(&tlsconn.ClientOptions{
			TLS: &tls.Config{RootCAs: s.ca.Pool, ServerName: c.name}, Policy: c.policy, Sessions: sessions,
		}, config)
		if !peer.Done() || peer.State().DidResume != c.resumed {
			t.Errorf("%d: %v, resumed %v, want %v", i, peer.Err(), peer.Done() && peer.State().DidResume, c.resumed)
		}
		peer.Finish()
		s.settle(peer)
	}
	s.drained()
}

func TestAFloodOfKeyUpdatesFromAServerIsNotBorne(t *testing.T) {
	t.Parallel()
	s := newStage(t, simsys.Faults{}, nil)
	var keys bytes.Buffer
	config := s.server("a.example")
	config.KeyLogWriter, config.MinVersion = &keys, tls.VersionTLS13
	d, _, c := s.connect(&tlsconn.ClientOptions{Sessions: tlsconn.NewSessions(1)}, config)
	u, err := simsys.NewServerUpdater(keys.String())
	if err != nil {
		t.Skip(err)
	}
	for range 20 {
		c.Raw(u.Update())
		c.Raw(u.Record(23, "question"))
		if s.settle(c); d.ended {
			t.Fatal("keys may change between what is said")
		}
	}
	for range 100 {
		c.Raw(u.Update())
	}
	if s.settle(c); !d.ended {
		t.Error("a flood of KeyUpdate was borne")
	}
	c.Close()
	s.drained()
}

func TestServersThatCannotBeVerifiedAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*tls.Config{
		"none": nil, "no name": {}, "unverified": {ServerName: "a", InsecureSkipVerify: true}, "old": {ServerName: "a", MinVersion: tls.VersionTLS10},
	} {
		if _, err := tlsconn.NewClient(tlsconn.ClientOptions{TLS: o}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	s := newStage(t, simsys.Faults{}, nil)
	for want, config := range map[tlsconn.Cause]*tls.Config{
		tlsconn.BadCertificate: s.server("b.example"),
		tlsconn.Failed:         {Certificates: s.server("a.example").Certificates, MaxVersion: tls.VersionTLS11},
	} {
		d, _, c := s.connect(&tlsconn.ClientOptions{}, config)
		if d.open || d.refused != int(want)+1 {
			t.Errorf("got %d, want %d", d.refused-1, want)
		}
		c.Close()
	}
	s.drained()
}

// Whatever a server says, instead of a handshake or after it, in whatever pieces: nothing breaks and nothing is kept.
func FuzzClient(f *testing.F) {
	f.Add([]byte("\x16\x03\x03\x00\x04\x02\x00\x00\x00"), byte(0), false)
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"), byte(1), false)
	f.Add([]byte("\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), byte(1), true)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), byte(200), false)
	f.Fuzz(func(t *testing.T, data []byte, piece byte, after bool) {
		s := newStage(t, simsys.Faults{}, nil)
		var config *tls.Config
		if after {
			config = s.server("a.example")
		}
		d, end, _ := s.connect(&tlsconn.ClientOptions{}, config)
		if d.open != after {
			t.Fatalf("open %v", d.open)
		}
		for len(data) > 0 {
			n := end.Write(data[:min(len(data), int(piece)+1)])
			data = data[n:]
			s.settle()
			if n == 0 {
				break
			}
		}
		end.Close()
		s.settle()
		if !d.ended {
			t.Error("it goes on without its server")
		}
		s.drained()
		s.workers.Close()
	})
}

var _ loop.Owner = (*dialing)(nil)
