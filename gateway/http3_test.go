// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// What the list of errors of HTTP/3 asks (names as there), on the connection.
func TestHTTP3ErrorsOfTheConnection(t *testing.T) {
	t.Parallel()
	_, dial := http3Gateway(t, repeat(t))
	get := h3request("GET", "/own")
	for name, c := range map[string]struct {
		do   func(p *peer)
		code wire.Code
	}{
		"h3spec/http3/1 DATA before HEADERS":             {func(p *peer) { p.hello(); p.ask(false, h3data("x")) }, wire.FrameUnexpected},
		"h3spec/http3/6 no SETTINGS":                     {func(p *peer) { p.uni(wire.StreamControl, h3frame(7, 0)...) }, wire.MissingSettings},
		"h3spec/http3/7 DATA on the control stream":      {func(p *peer) { _, _ = p.hello().Write(h3data("x")) }, wire.FrameUnexpected},
		"h3spec/http3/8 HEADERS on the control stream":   {func(p *peer) { _, _ = p.hello().Write(get) }, wire.FrameUnexpected},
		"h3spec/http3/9 a second SETTINGS":               {func(p *peer) { _, _ = p.hello().Write(h3frame(4)) }, wire.FrameUnexpected},
		"h3spec/http3/10 a setting of HTTP/2":            {func(p *peer) { p.uni(wire.StreamControl, h3frame(4, 2, 0)...) }, wire.SettingsError},
		"h3spec/http3/11 CANCEL_PUSH on a request":       {func(p *peer) { p.hello(); p.ask(false, get, h3frame(3, 0)) }, wire.FrameUnexpected},
		"h3spec/http3/12 the control stream ends":        {func(p *peer) { _ = p.hello().Close() }, wire.ClosedCriticalStream},
		"h3spec/http3/12 the control stream is reset":    {func(p *peer) { c := p.hello(); answers(p.t, p.ask(true, get)); c.CancelWrite(0x100) }, wire.ClosedCriticalStream},
		"h3spec/http3/13 no such line":                   {func(p *peer) { p.hello(); p.ask(true, h3frame(1, 0, 0, 0xff, 36)) }, wire.QPACKDecompressionFailed},
		"h3spec/http3/13 in trailers":                    {func(p *peer) { p.hello(); p.ask(true, h3request("POST", "/"), h3frame(1, 0, 0, 0xff, 36)) }, wire.QPACKDecompressionFailed},
		"h3spec/http3/14 a capacity above the limit":     {func(p *peer) { p.hello(); p.uni(wire.StreamEncoder, 0x3f, 0x45) }, wire.QPACKEncoderStreamError},
		"h3spec/http3/15 Insert Count Increment 0":       {func(p *peer) { p.hello(); p.uni(wire.StreamDecoder, 0) }, wire.QPACKDecoderStreamError},
		"h3/extra/3 a second encoder stream":             {func(p *peer) { p.hello(); p.uni(wire.StreamEncoder); p.uni(wire.StreamEncoder) }, wire.StreamCreationError},
		"h3/extra/4 a second control stream":             {func(p *peer) { p.hello(); p.hello() }, wire.StreamCreationError},
		"h3/extra/16 streams of reserved types":          {func(p *peer) { p.strangers(40) }, wire.ExcessiveLoad},
		"the encoder stream ends":                        {func(p *peer) { p.hello(); _ = p.uni(wire.StreamEncoder).Close() }, wire.ClosedCriticalStream},
		"the decoder stream ends":                        {func(p *peer) { p.hello(); _ = p.uni(wire.StreamDecoder).Close() }, wire.ClosedCriticalStream},
		"a push stream":                                  {func(p *peer) { p.hello(); p.uni(wire.StreamPush, 0) }, wire.StreamCreationError},
		"SETTINGS on a request":                          {func(p *peer) { p.hello(); p.ask(false, h3frame(4)) }, wire.FrameUnexpected},
		"HEADERS behind trailers":                        {func(p *peer) { p.hello(); p.ask(false, h3request("POST", "/"), h3fields("a: b"), h3fields("a: b")) }, wire.FrameUnexpected},
		"a stream that ends within a frame":              {func(p *peer) { p.hello(); p.ask(true, h3request("POST", "/"), h3data("xyz")[:3]) }, wire.FrameError},
		"a stream that ends within its head":             {func(p *peer) { p.hello(); p.ask(true, get[:9]) }, wire.FrameError},
		"GOAWAY that grows":                              {func(p *peer) { _, _ = p.hello().Write(append(h3frame(7, 0), h3frame(7, 4)...)) }, wire.IDError},
		"frames of no meaning on a request":              {func(p *peer) { p.hello(); p.ask(false, bytes.Repeat(h3frame(0x21), 9000)) }, wire.ExcessiveLoad},
		"frames of no meaning in a body":                 {func(p *peer) { p.hello(); p.ask(false, h3request("POST", "/"), bytes.Repeat(h3frame(0x21), 9000)) }, wire.ExcessiveLoad},
		"frames of no meaning on the control stream":     {func(p *peer) { _, _ = p.hello().Write(bytes.Repeat(h3frame(0x21), 9000)) }, wire.ExcessiveLoad},
		"instructions of no meaning on a QPACK stream":   {func(p *peer) { p.hello(); p.uni(wire.StreamEncoder, bytes.Repeat([]byte{0x20}, 5000)...) }, wire.ExcessiveLoad},
		"a reference to a dynamic table that is not":     {func(p *peer) { p.hello(); p.ask(true, h3frame(1, 0, 0, 0x80)) }, wire.QPACKDecompressionFailed},
		"a field section that waits for a dynamic table": {func(p *peer) { p.hello(); p.ask(true, h3frame(1, 1, 0, 0xc1)) }, wire.QPACKDecompressionFailed},
	} {
		for when, pause := range map[string]time.Duration{"": 0, " at rest": resting} {
			t.Run(name+when, func(t *testing.T) {
				t.Parallel()
				p := dial()
				p.t = t
				time.Sleep(pause)
				c.do(p)
				p.refuses(c.code)
			})
		}
	}
}

// strangers opens n streams of types that nobody knows.
func (p *peer) strangers(n int) {
	p.hello()
	for i := range n {
		s, err := p.OpenUniStreamSync(p.t.Context())
		if err != nil {
			return // closed
		}
		_, _ = s.Write(wire.AppendVarint(nil, 0x21+0x1f*uint64(i)))
		_ = s.Close()
	}
}

// What is wrong with one request ends its stream, and the next one is served.
func TestHTTP3ErrorsOfAStream(t *testing.T) {
	t.Parallel()
	back := gatewaytest.NewOrigin(t, nil)
	s, dial := http3Gateway(t, back.Addr)
	p := dial()
	p.hello()
	for _, c := range []struct {
		name   string
		frames [][]byte
		code   wire.Code
	}{
		{"h3spec/http3/2 :path twice", [][]byte{h3request("GET", "/", ":path: /")}, wire.MessageError},
		{"h3spec/http3/3 no :path", [][]byte{h3fields(":method: GET", ":scheme: https", ":authority: a.example")}, wire.MessageError},
		{"h3spec/http3/4 :status", [][]byte{h3request("GET", "/", ":status: 200")}, wire.MessageError},
		{"h3spec/http3/5 a pseudo-field behind others", [][]byte{h3fields(":method: GET", ":scheme: https", ":authority: a.example", "a: b", ":path: /")}, wire.MessageError},
		{"h3/extra/1 too little", [][]byte{h3request("POST", "/", "content-length: 5"), h3data("1234")}, wire.MessageError},
		{"h3/extra/1 too much", [][]byte{h3request("POST", "/", "content-length: 5"), h3data("123456")}, wire.MessageError},
		{"h3/extra/1 nothing", [][]byte{h3request("POST", "/", "content-length: 5")}, wire.MessageError},
		{"h3/extra/1 something for nothing", [][]byte{h3request("GET", "/", "content-length: 0"), h3data("1")}, wire.MessageError},
		{"upper case", [][]byte{h3request("GET", "/", "A: b")}, wire.MessageError},
		{"connection", [][]byte{h3request("GET", "/", "connection: close")}, wire.MessageError},
		{"a line in a value", [][]byte{h3request("GET", "/", "a: b\r\nx: y")}, wire.MessageError},
		{"a pseudo-field in trailers", [][]byte{h3request("POST", "/"), h3data("x"), h3fields(":path: /")}, wire.MessageError},
		{"no head", nil, wire.RequestIncomplete},
	} {
		resets(t, p.ask(true, c.frames...), c.code)
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
	for _, r := range back.Requests() {
		t.Errorf("the backend has seen %s %q whole", r.Line, r.Body)
	}
	if status, _ := answers(t, p.ask(true, h3request("GET", "/"))); status != "200" {
		t.Errorf("the next request: got %q, want 200", status)
	}
	if st, err := s.Stats(); err != nil || st.Pools.Idle > 1 {
		t.Errorf("%d connections to the backend are kept (%v), want 1 at most", st.Pools.Idle, err)
	}
}

// RP-03: a body that ends short, by a FIN of its own, never looks whole, and its connection to the backend is not used
// again.
func TestRP03ShortBodiesOverHTTP3(t *testing.T) {
	t.Parallel()
	back := gatewaytest.NewOrigin(t, nil)
	_, dial := http3Gateway(t, back.Addr)
	p := dial()
	p.hello()
	for range 20 {
		s := p.ask(false, h3request("POST", "/", "content-length: 10"), h3data("12345"))
		time.Sleep(5 * time.Millisecond) // so that the octets and the end come apart: h3/extra/2
		_ = s.Close()
		resets(t, s, wire.MessageError)
		if status, _ := answers(t, p.ask(true, h3request("GET", "/next"))); status != "200" {
			t.Fatalf("got %s, want 200", status)
		}
	}
	for _, r := range back.Requests() {
		if r.Line != "GET /next HTTP/1.1" {
			t.Errorf("the backend has seen %q", r.Line)
		}
	}
}

// H2-14, h3/extra/17: CONNECT reaches nobody.
func TestH214ConnectOverHTTP3(t *testing.T) {
	t.Parallel()
	back := gatewaytest.NewOrigin(t, nil)
	_, dial := http3Gateway(t, back.Addr)
	p := dial()
	p.hello()
	s := p.ask(true, h3fields(":method: CONNECT", ":authority: a.example"), h3data("GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"))
	if status, body := answers(t, s); status != "405" || string(body) != "method_refused" {
		t.Errorf("got %s %q, want 405 method_refused", status, body)
	}
	s = p.ask(true, h3fields(":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /", ":authority: a.example"), h3data("x"))
	resets(t, s, wire.MessageError) // an extension that nobody was told of (RFC 9220, section 3)
	if n := len(back.Requests()); n > 0 {
		t.Errorf("the backend has seen %d requests", n)
	}
}

// H2-15: an authority of another certificate is not served on this connection.
func TestH215AuthorityOverHTTP3(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	own, err := tlsconn.New(tlsconn.Options{
		TLS:  &tls.Config{Certificates: []tls.Certificate{p.Authority.Issue(t, "a.example", "b.example")}},
		Same: func(_ string, host []byte) bool { return string(host) == "b.example" },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, address := start(t, repeat(t), func(o *gateway.Options, _ *gateway.Snapshot) {
		l := p.Listener(t, "a.example")
		l.TLS = func() *tlsconn.Config { return own }
		o.Listen = []gateway.Listener{l}
	})
	client := &peer{p.DialQUIC(t, gatewaytest.Direct, address, "a.example"), t}
	client.hello()
	for _, c := range []struct {
		authority, host, want string
	}{
		{"a.example", "a.example", "200"},
		{"a.example", "", "200"},
		{"", "a.example", "200"},
		{"A.example:443", "", "200"},
		{"b.example", "", "200"},
		{"c.example", "", "421 misdirected"},
		{"", "c.example", "421 misdirected"},
	} {
		lines := []string{":method: GET", ":scheme: https", ":path: /"}
		if c.authority != "" {
			lines = append(lines, ":authority: "+c.authority)
		}
		if c.host != "" {
			lines = append(lines, "host: "+c.host)
		}
		if status, body := answers(t, client.ask(true, h3fields(lines...))); strings.TrimSpace(status+" "+string(body)) != c.want {
			t.Errorf("%+v: got %s %s", c, status, body)
		}
	}
	for _, lines := range [][]string{{":authority: a.example", "host: b.example"}, {}, {":authority: a.example,b.example"}, {":authority: u@a.example"}} {
		s := client.ask(true, h3fields(append([]string{":method: GET", ":scheme: https", ":path: /"}, lines...)...))
		resets(t, s, wire.MessageError)
	}
}

func TestTooLargeHeadsOverHTTP3AreAnswered(t *testing.T) {
	t.Parallel()
	_, dial := http3Gateway(t, repeat(t))
	p := dial()
	p.hello()
	many := make([]string, 101)
	for i := range many {
		many[i] = "a: b"
	}
	for name, c := range map[string]struct {
		head []byte
		want string
	}{
		"many fields":         {h3request("GET", "/", many...), "431 head_too_large"},
		"a long field":        {h3request("GET", "/", "a: "+strings.Repeat("x", 33<<10)), "431 head_too_large"},
		"a long target":       {h3request("GET", "/"+strings.Repeat("x", 9<<10)), "414 uri_too_long"},
		"a section of 16 MiB": {append(wire.AppendVarint([]byte{1}, 16<<20), make([]byte, 4096)...), "431 head_too_large"},
		"h3/extra/5 a bomb":   {h3frame(1, append([]byte{0, 0}, bytes.Repeat([]byte{0xff, 22}, 16_000)...)...), "431 head_too_large"},
	} {
		status, body := answers(t, p.ask(true, c.head))
		if got := status + " " + string(body); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	bomb := h3frame(1, append([]byte{0, 0}, bytes.Repeat([]byte{0xff, 22}, 4_000)...)...)
	s := p.ask(true, h3request("POST", "/"), h3data("x"), bomb) // h3/extra/6
	if status, body := answers(t, s); status+" "+string(body) != "431 head_too_large" {
		t.Errorf("a bomb in trailers: got %s %q", status, body)
	}
}

// H2-01, h3/extra/13: whoever resets what it asks for is closed, and has no more places meanwhile than any other.
func TestH201RapidResetOverHTTP3(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	s, dial := http3Gateway(t, back)
	p := dial()
	p.hello()
	begin := time.Now()
	sent := 0
	var watch sync.WaitGroup
	watch.Go(func() { // beside it, or so few would be reset in a second that it wastes nobody's time
		for p.Context().Err() == nil {
			st, err := s.Stats()
			if err != nil || st.Active > 100 {
				t.Errorf("%d exchanges in flight (%v), want 100 at most", st.Active, err)
				return
			}
		}
	})
	for ; sent < 10_000; sent++ {
		q, err := p.OpenStreamSync(t.Context())
		if err != nil {
			break
		}
		_, _ = q.Write(h3request("GET", "/"))
		_ = q.Close()
		q.CancelRead(0x10c)
		q.CancelWrite(0x10c)
	}
	p.refuses(wire.ExcessiveLoad)
	watch.Wait()
	if sent > 1000 || time.Since(begin) > 10*time.Second {
		t.Errorf("closed after %d requests and %v", sent, time.Since(begin))
	}
}

// holdAll is forwardAll, but keeps the loop at the first request for /hold.
type holdAll struct {
	forwardAll
	held, release chan struct{}
}

func (h holdAll) Resolve(r *exchange.Request, p *exchange.Plan) {
	if string(r.Path) == "/hold" {
		close(h.held)
		<-h.release
	}
	h.forwardAll.Resolve(r, p)
}

// H2-01: a client has a new place when the exchange of an old one is over, and not when it has reset it.
func TestH201PlacesAreExchangesOverHTTP3(t *testing.T) {
	t.Parallel()
	hold := holdAll{held: make(chan struct{}), release: make(chan struct{})}
	_, dial := http3Gateway(t, repeat(t), func(o *gateway.Options, s *gateway.Snapshot) { o.Loops, s.Resolver = 1, hold })
	p := dial()
	p.hello()
	p.ask(true, h3request("GET", "/hold"))
	<-hold.held // nothing ends now
	opened := 1
	for ; opened < 150; opened++ {
		q, err := p.OpenStream()
		if err != nil {
			break
		}
		_, _ = q.Write(h3request("GET", "/"))
		_ = q.Close()
		q.CancelRead(0x10c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.OpenStreamSync(ctx); err == nil {
		opened++
	}
	close(hold.release)
	if opened != 100 {
		t.Errorf("%d requests could be made, want 100", opened)
	}
	s, err := p.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(h3request("GET", "/own"))
	_ = s.Close()
	if status, _ := answers(t, s); status != "404" {
		t.Errorf("then got %s, want 404", status)
	}
}

// H2-02: resets that a client makes us send count as its own.
func TestH202ProvokedResetsOverHTTP3(t *testing.T) {
	t.Parallel()
	_, dial := http3Gateway(t, repeat(t))
	for name, frames := range map[string][][]byte{
		"malformed": {h3request("GET", "/", "A: b")}, "length": {h3request("POST", "/", "content-length: 1"), h3data("12")}, "nothing": nil,
	} {
		p := dial()
		p.hello()
		for range 1000 {
			q, err := p.OpenStreamSync(t.Context())
			if err != nil {
				break
			}
			for _, f := range frames {
				_, _ = q.Write(f)
			}
			_ = q.Close()
		}
		p.refuses(wire.ExcessiveLoad)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// H2-08: what a client does not take is not read from the backend, and does not wait for ever.
func TestH208StalledAnswersOverHTTP3(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	written := make(chan int64, 1)
	back := origin(t, func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(zeros{}, size))
		written <- n
	})
	s, dial := http3Gateway(t, back, func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Timeouts = gateway.DefaultOptions().Timeouts
		o.Timeouts.Write = time.Second
	})
	p := dial()
	p.hello()
	q := p.ask(true, h3request("GET", "/"))
	select {
	case n := <-written:
		if n >= size {
			t.Errorf("the backend has written all of %d octets", n)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("the exchange lives on")
	}
	if _, err := io.Copy(io.Discard, q); err == nil {
		t.Error("the answer looks whole")
	}
	if st, err := s.Stats(); err != nil || st.Active > 0 {
		t.Errorf("%d exchanges in flight (%v)", st.Active, err)
	}
}

// RS-02, h3/extra/12: the deadlines of HTTP/1.1, over HTTP/3.
func TestRS02DeadlinesOverHTTP3(t *testing.T) {
	t.Parallel()
	_, dial := http3Gateway(t, repeat(t), func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Timeouts = gateway.DefaultOptions().Timeouts
		o.Timeouts.Head, o.Timeouts.Body, o.Timeouts.Idle = 2*time.Second, 2*time.Second, 2300*time.Millisecond // no machine takes that long for a first octet
	})
	head := h3request("GET", "/")
	for name, c := range map[string]struct {
		begin [][]byte
		drip  []byte
	}{
		"nothing of a head":                  {nil, nil},
		"half a head":                        {[][]byte{head[:len(head)/2]}, nil},
		"a head of frames that mean nothing": {nil, h3frame(0x21)},
		"a GET that does not end":            {[][]byte{head}, nil},
		"no body":                            {[][]byte{h3request("POST", "/", "content-length: 100000")}, nil},
		"a body by the octet":                {[][]byte{h3request("POST", "/", "content-length: 100000")}, h3data("x")},
		"a body of unknown length":           {[][]byte{h3request("POST", "/")}, h3data("x")},
		"one frame by the octet":             {[][]byte{h3request("POST", "/"), {0, 0x80, 1, 0, 0}}, []byte("x")},
		"a body of empty frames":             {[][]byte{h3request("POST", "/")}, h3frame(0)},
		"no trailers":                        {[][]byte{h3request("POST", "/"), h3data("x"), {1}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dial()
			p.hello()
			begin := time.Now()
			q := p.ask(false, append([][]byte{{0x21, 0}}, c.begin...)...)
			stop := make(chan struct{})
			go func() {
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for c.drip != nil {
					select {
					case <-stop:
						return
					case <-tick.C:
						_, _ = q.Write(c.drip)
					}
				}
			}()
			status, body := answers(t, q)
			close(stop)
			if took := time.Since(begin); status != "408" || string(body) != "request_timeout" || took < 1900*time.Millisecond || took > 7*time.Second {
				t.Errorf("got %s %q after %v, want 408", status, body, took)
			}
		})
	}
	t.Run("no request", func(t *testing.T) {
		t.Parallel()
		p := dial()
		p.hello()
		p.refuses(wire.NoError)
	})
	t.Run("no further request", func(t *testing.T) {
		t.Parallel()
		p := dial()
		p.hello()
		begin := time.Now()
		if status, _ := answers(t, p.ask(true, head)); status != "200" {
			t.Fatalf("got %s", status)
		}
		p.refuses(wire.NoError)
		if took := time.Since(begin); took < 2200*time.Millisecond || took > 7*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

// h3/extra/15: nothing is accepted before the handshake is done.
func TestNo0RTTOverHTTP3(t *testing.T) {
	t.Parallel()
	p := gatewaytest.HTTP3(t)
	_, address := start(t, repeat(t), over(t, p))
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(gatewaytest.Direct)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	from := &quic.Transport{Conn: udp}
	defer from.Close()
	secure := p.Resuming("a.example")
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
	for i := range 2 {
		c, err := from.DialEarly(t.Context(), to, secure, &quic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		pe := &peer{c, t}
		pe.hello()
		if status, _ := answers(t, pe.ask(true, h3request("GET", "/"))); status != "200" {
			t.Errorf("got %s", status)
		}
		st := c.ConnectionState()
		if st.Used0RTT || st.TLS.DidResume != (i == 1) {
			t.Errorf("connection %d: 0-RTT %v, resumed %v", i, st.Used0RTT, st.TLS.DidResume)
		}
		_ = c.CloseWithError(0x100, "")
	}
}

// h3/extra/14: a request goes on when its client's address changes, and the next is attributed to the new one.
func TestAddressesChangeOverHTTP3(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	back := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	})
	_, dial := http3Gateway(t, back)
	p := dial()
	p.hello()
	slow := p.ask(true, h3request("GET", "/slow"))
	<-begun
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(gatewaytest.Known)})
	if err != nil {
		t.Fatal(err)
	}
	other := &quic.Transport{Conn: udp}
	t.Cleanup(func() { _, _ = other.Close(), udp.Close() })
	path, err := p.AddPath(other)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := path.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	if err := path.Switch(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { // the gateway moves when it has seen a packet that is no probe
		status, body := answers(t, p.ask(true, h3request("GET", "/")))
		if status != "200" {
			t.Fatalf("got %s %q", status, body)
		}
		if string(body) != gatewaytest.Known {
			return fmt.Sprintf("got %q, want the new address", body)
		}
		return ""
	})
	close(release)
	if status, body := answers(t, slow); status != "200" || string(body) != gatewaytest.Direct {
		t.Errorf("got %s %q, want the address at its beginning", status, body)
	}
}
