// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// peer is a client that writes its octets itself.
type peer struct {
	*quic.Conn
	t testing.TB
}

// http3Gateway serves one backend over HTTP/3 alone.
func http3Gateway(t testing.TB, back string, edit ...func(*gateway.Options, *gateway.Snapshot)) (*gateway.Server, func() *peer) {
	t.Helper()
	p := gatewaytest.HTTP3(t)
	edit = append([]func(*gateway.Options, *gateway.Snapshot){func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Listen = []gateway.Listener{p.Listener(t, "a.example")}
	}}, edit...)
	s, address := start(t, back, edit...)
	return s, func() *peer {
		return &peer{p.DialQUIC(t, gatewaytest.Direct, address, "a.example"), t}
	}
}

// hello opens the control stream as it should be.
func (p *peer) hello() *quic.SendStream { return p.uni(wire.StreamControl, h3frame(4, 1, 0)...) }

// uni opens a unidirectional stream.
func (p *peer) uni(kind uint64, b ...byte) *quic.SendStream {
	p.t.Helper()
	s, err := p.OpenUniStream()
	if err != nil {
		p.t.Fatal(err)
	}
	_, _ = s.Write(append(wire.AppendVarint(nil, kind), b...)) // the connection may have ended
	return s
}

// ask opens a request stream with these octets, and ends it if fin.
func (p *peer) ask(fin bool, frames ...[]byte) *quic.Stream {
	p.t.Helper()
	s, err := p.OpenStreamSync(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range frames {
		_, _ = s.Write(f) // the connection may have ended
	}
	if fin {
		_ = s.Close()
	}
	return s
}

// refuses checks that the connection ends with a code.
func (p *peer) refuses(code wire.Code) {
	p.t.Helper()
	select {
	case <-p.Context().Done():
	case <-time.After(10 * time.Second):
		p.t.Fatalf("the connection lives on; want %v", code)
	}
	var app *quic.ApplicationError
	if err := context.Cause(p.Context()); !errors.As(err, &app) || !app.Remote || app.ErrorCode != quic.ApplicationErrorCode(code) {
		p.t.Errorf("got %v, want %v (%#x)", err, code, uint64(code))
	}
}

// whole reads a stream to its end.
func whole(s *quic.Stream) ([]byte, error) {
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	return io.ReadAll(s)
}

// cutOff reports whether the connection has ended before a stream was read: quic-go drops what has come of it then.
func cutOff(err error) bool {
	var app *quic.ApplicationError
	return errors.As(err, &app) && app.Remote && app.ErrorCode == quic.ApplicationErrorCode(wire.NoError)
}

// resets checks that a stream ends with a code.
func resets(t testing.TB, s *quic.Stream, code wire.Code) {
	t.Helper()
	got, err := whole(s)
	wantsReset(t, got, err, code)
}

func wantsReset(t testing.TB, got []byte, err error, code wire.Code) {
	t.Helper()
	var reset *quic.StreamError
	if !errors.As(err, &reset) || !reset.Remote || reset.ErrorCode != quic.StreamErrorCode(code) {
		t.Errorf("got %q and %v, want %v (%#x)", got, err, code, uint64(code))
	}
}

// answers reads one answer.
func answers(t testing.TB, s *quic.Stream) (status string, body []byte) {
	t.Helper()
	all, err := whole(s)
	if err != nil {
		t.Fatalf("got %v after %q", err, all)
	}
	return answer(all)
}

// answer takes one apart.
func answer(all []byte) (status string, body []byte) {
	for len(all) > 0 {
		kind, k := wire.Varint(all)
		size, m := wire.Varint(all[k:])
		payload := all[k+m : k+m+int(size)]
		all = all[k+m+int(size):]
		switch kind {
		case 0:
			body = append(body, payload...)
		case 1:
			next := qpack.NewDecoder().Decode(payload)
			for f, err := next(); err == nil; f, err = next() {
				if f.Name == ":status" {
					status += f.Value + " "
				}
			}
		}
	}
	return strings.TrimSpace(status), body
}

func h3frame(kind uint64, payload ...byte) []byte {
	return append(wire.AppendVarint(wire.AppendVarint(nil, kind), uint64(len(payload))), payload...)
}

// h3fields is a HEADERS frame of "name: value" lines.
func h3fields(lines ...string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, l := range lines {
		i := strings.Index(l[1:], ": ") + 1
		_ = e.WriteField(qpack.HeaderField{Name: l[:i], Value: l[i+2:]}) // into memory
	}
	return h3frame(1, b.Bytes()...)
}

// h3request is the head of a request to a.example.
func h3request(method, path string, lines ...string) []byte {
	return h3fields(append([]string{":method: " + method, ":scheme: https", ":authority: a.example", ":path: " + path}, lines...)...)
}

func h3data(b string) []byte { return h3frame(0, []byte(b)...) }

// repeat is a backend that sends back what it gets.
func repeat(t testing.TB) string {
	return origin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
}
