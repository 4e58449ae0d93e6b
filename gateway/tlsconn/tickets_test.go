// SPDX-License-Identifier: EUPL-1.2

package tlsconn_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// versions are those that are spoken.
var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// terms are one listener of a test.
type terms struct {
	tickets *tlsconn.Tickets
	policy  string
	auth    tls.ClientAuthType
}

// server makes the configuration of a listener for a.example and b.example.
func (x terms) server(t *testing.T, ca *gatewaytest.Authority) *tls.Config {
	t.Helper()
	c, err := tlsconn.New(tlsconn.Options{
		TLS: &tls.Config{
			Certificates: []tls.Certificate{ca.Issue(t, "a.example", "b.example")}, ClientAuth: x.auth, ClientCAs: ca.Pool,
			MinVersion: tls.VersionTLS12,
		},
		Tickets: x.tickets, Policy: x.policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.TLS()
}

// pair returns the ends of a connection; net.Pipe holds nothing on its way, and both ends of TLS may write at a time.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{near, far} {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return near, far
}

// meet makes a connection and says whether the session was resumed.
func meet(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	near, far := pair(t)
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		s := tls.Server(far, server)
		_, err := s.Write([]byte("x"))
		done <- err
	}()
	c := tls.Client(near, client)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // a ticket of 1.3 comes before it
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().DidResume
}

// oneSession offers the same session to whatever server.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.state, o.state != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	if o.state == nil && s != nil {
		o.state = s
	}
}

func TestRS11TicketsStayWithTheirHostAndPolicy(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	mine := ca.Issue(t, "portal.example")
	tickets, shared := tlsconn.NewTickets(), tlsconn.NewTickets()
	key := tlsconn.Key{1}
	for _, k := range []*tlsconn.Tickets{tickets, shared} {
		if err := k.Set(key); err != nil {
			t.Fatal(err)
		}
	}
	open := terms{tickets: tickets, policy: "open"}
	for version, v := range versions {
		for name, c := range map[string]struct {
			first, then terms
			a, b        string
			resumes     bool
		}{
			"same host":              {open, open, "a.example", "a.example", true},
			"other spelling":         {open, open, "a.example", "A.example", true},
			"other host":             {open, open, "a.example", "b.example", false},
			"other process":          {open, terms{tickets: shared, policy: "open"}, "a.example", "a.example", true},
			"other keys":             {open, terms{tickets: tlsconn.NewTickets(), policy: "open"}, "a.example", "a.example", false},
			"other policy":           {open, terms{tickets: tickets, policy: "other"}, "a.example", "a.example", false},
			"policy, name in turn":   {terms{tickets: tickets, policy: "x\x00y"}, terms{tickets: tickets, policy: "y"}, "a.example", "a.example", false},
			"same client auth":       {terms{tickets, "mtls", tls.RequireAndVerifyClientCert}, terms{tickets, "mtls", tls.RequireAndVerifyClientCert}, "a.example", "a.example", true},
			"client auth asked now":  {open, terms{tickets, "given", tls.VerifyClientCertIfGiven}, "a.example", "a.example", false},
			"client auth no more":    {terms{tickets, "given", tls.VerifyClientCertIfGiven}, open, "a.example", "a.example", false},
			"other authorities":      {terms{tickets, "given:1", tls.VerifyClientCertIfGiven}, terms{tickets, "given:2", tls.VerifyClientCertIfGiven}, "a.example", "a.example", false},
			"no tickets on this one": {open, terms{policy: "open"}, "a.example", "a.example", false},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				cache := new(oneSession)
				client := func(host string) *tls.Config {
					return &tls.Config{
						RootCAs: ca.Pool, ServerName: host, ClientSessionCache: cache, MaxVersion: v, MinVersion: tls.VersionTLS12,
						Certificates: []tls.Certificate{mine},
					}
				}
				first := c.first.server(t, ca)
				if meet(t, first, client(c.a)) {
					t.Fatal("resumed without a session")
				}
				if cache.state == nil {
					t.Fatal("no ticket was given out")
				}
				if got := meet(t, c.then.server(t, ca), client(c.b)); got != c.resumes {
					t.Errorf("resumed: %v, want %v", got, c.resumes)
				}
			})
		}
	}
}

func TestTicketKeysRotate(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	tickets := tlsconn.NewTickets()
	server := terms{tickets: tickets}.server(t, ca)
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "a.example", ClientSessionCache: new(oneSession), MinVersion: tls.VersionTLS12}
	meet(t, server, client)
	for i, want := range []bool{true, true, false} {
		if got := meet(t, server, client); got != want {
			t.Errorf("after %d rotations: resumed %v, want %v", i, got, want)
		}
		tickets.Rotate()
	}
	if err := tickets.Set(); err == nil {
		t.Error("no key at all was taken")
	}
	if err := tickets.Set(make([]tlsconn.Key, tlsconn.MaxKeys+1)...); err == nil {
		t.Error("too many keys were taken")
	}
}

func TestConfigRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	cert := gatewaytest.NewAuthority(t).Issue(t, "a.example")
	for name, c := range map[string]*tls.Config{
		"nothing":        nil,
		"no certificate": {MinVersion: tls.VersionTLS12},
		"per client":     {Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }},
		"old versions":   {Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS11},
	} {
		if _, err := tlsconn.New(tlsconn.Options{TLS: c}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever a client sends as its ticket, it is opened or ignored.
func FuzzTickets(f *testing.F) {
	tickets := tlsconn.NewTickets()
	c, err := tlsconn.New(tlsconn.Options{TLS: &tls.Config{Certificates: []tls.Certificate{{}}, MinVersion: tls.VersionTLS12}, Tickets: tickets, Policy: "p"})
	if err != nil {
		f.Fatal(err)
	}
	config := c.TLS()
	good, err := config.WrapSession(tls.ConnectionState{ServerName: "a.example"}, new(tls.SessionState))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "a.example")
	f.Add(good[:40], "a.example")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, ticket []byte, name string) {
		ss, err := config.UnwrapSession(ticket, tls.ConnectionState{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if ss != nil && (string(ticket) != string(good) || name != "a.example") {
			t.Fatalf("%q opened for %q", ticket, name)
		}
	})
}
