// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/header"
)

// edited is the standard gateway whose backend hessen allows websocket and has its fields edited.
func edited(t *testing.T, script gatewaytest.Script) (*gatewaytest.Gateway, *gatewaytest.Origin) {
	t.Helper()
	origin := gatewaytest.NewOrigin(t, script)
	o := gatewaytest.StandardOptions(t, origin)
	o.Snapshot = func(s *gateway.Snapshot) {
		for i := range s.Backends {
			if b := &s.Backends[i]; b.Name == "hessen" {
				b.Tunnels = &exchange.Tunnels{Protocols: [][]byte{[]byte("websocket")}, Idle: time.Second, Life: time.Second}
				b.RequestEdit = mustEdit(t, [][2]string{{"X-Portal-Key", "7"}}, "X-Debug*")
				b.ResponseEdit = mustEdit(t, [][2]string{{"X-Frame-Options", "DENY"}}, "X-Internal-*", "Server")
			}
		}
	}
	return gatewaytest.Start(t, o), origin
}

func mustEdit(t *testing.T, set [][2]string, remove ...string) *header.Edit {
	t.Helper()
	e, err := header.NewEdit(set, remove)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// forgeries are fields that no client may say, in spellings that somebody takes for ours.
func forgeries() (fields []string) {
	for _, name := range []string{
		"PV-Sender", "PV-Leistung", "PV-ARS", "PV-OE", "PV-Area-Level", "PV-Language", "PV-Signature", "PV-New", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
		"X-Forwarded-Prefix", "X-Real-IP", "X-PVP-UserID", "X-SSL-Client-Verify", "Remote-User", "X-Portal-Key", "X-Debug-Me",
	} {
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1)} {
			if name != "Forwarded" || spelling == name {
				fields = append(fields, spelling+": forged")
			}
		}
	}
	return fields
}

const internal = "X-Internal-Host: 10.0.0.1\r\nServer: IIS\r\nX-Frame-Options: ALLOW\r\nPV-Sender: forged\r\nPV-Trace: forged\r\nAlt-Svc: h2=\":443\"\r\nX-Own: kept\r\n"

// HD-02: what no client may say reaches a portal on no path: forwarded at its own host, in place, with a body, with
// names taken away by Connection, or as a request to change the protocol. What comes back is cleaned on each too.
func TestHD02OnEveryPath(t *testing.T) {
	t.Parallel()
	g, origin := edited(t, func(s *gatewaytest.Seen) string {
		if s.Get("Upgrade") != "" {
			return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + internal + "\r\n"
		}
		return gatewaytest.OK("ok", strings.Split(strings.TrimSuffix(internal, "\r\n"), "\r\n")...)
	})
	ours := "PV-Sender, X-Forwarded-For, Forwarded, Via, X-Portal-Key, PV-Language"
	for _, tt := range []struct {
		host, line string
		fields     []string
		status     int
	}{
		{hessenHost, "GET /", nil, 200},
		{hessenHost, "GET /", []string{"Connection: " + ours}, 200},
		{hessenHost, "POST /x", []string{"Content-Length: 2", "\r\nok"}, 200},
		{entryHost, "POST /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Hanau, []string{"Connection: close, " + ours}, 200},
		{hessenHost, "GET /socket", []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 101},
		{hessenHost, "GET /socket", []string{"Connection: Upgrade, " + ours, "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 101},
	} {
		for _, from := range []string{gatewaytest.Direct, gatewaytest.Known} {
			fields := forgeries()
			if strings.HasPrefix(tt.line, "POST /leistung") && from == gatewaytest.Known {
				continue // a sender's PV- fields are read there, and "forged" is no key
			}
			n := len(origin.Requests())
			got := headOf(t, g, from, tt.host, tt.line, append(fields, tt.fields...))
			if len(origin.Requests()) != n+1 || got.StatusCode != tt.status {
				t.Errorf("from %s, %s %s: %d, %d requests at the portal", from, tt.line, tt.fields, got.StatusCode, len(origin.Requests())-n)
				continue
			}
			s := origin.Last(t)
			for _, f := range s.Fields {
				if strings.Contains(f, "forged") {
					t.Errorf("from %s, %s %s: the portal got %s", from, tt.line, tt.fields, f)
				}
			}
			for _, name := range []string{"PV-Sender", "X-Forwarded-For", "Forwarded", "Via", "PV-Language"} {
				if s.Get(name) == "" {
					t.Errorf("from %s, %s %s: the portal got no %s", from, tt.line, tt.fields, name)
				}
			}
			if s.Get("X-Portal-Key") != "7" {
				t.Errorf("from %s, %s %s: X-Portal-Key %q", from, tt.line, tt.fields, s.Get("X-Portal-Key"))
			}
			h := got.Header
			if h.Get("X-Internal-Host") != "" || h.Get("Server") != "" || h.Get("PV-Sender") != "" || h.Get("Alt-Svc") != "" || h.Get("PV-Trace") == "forged" ||
				h.Get("X-Own") != "kept" || len(h.Values("X-Frame-Options")) != 1 || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("from %s, %s %s: the client got %v", from, tt.line, tt.fields, h)
			}
		}
	}
}

// headOf asks and returns the answer's head.
func headOf(t *testing.T, g *gatewaytest.Gateway, from, host, line string, fields []string) *http.Response {
	t.Helper()
	raw, body := line+" HTTP/1.1\r\nHost: "+host+"\r\n", ""
	for _, f := range fields {
		if b, ok := strings.CutPrefix(f, "\r\n"); ok {
			body = b
		} else {
			raw += f + "\r\n"
		}
	}
	c := dial(t, g, from)
	if _, err := io.WriteString(c, raw+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return resp
}

// HD-02: our own answers repeat nothing of what was forged, and it changes none of them.
func TestHD02OwnAnswers(t *testing.T) {
	t.Parallel()
	g, _ := edited(t, nil)
	for _, line := range []string{
		"GET /", "GET /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg, "GET /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Hanau, "GET /leistung/1/06", "GET /_pv/route?leistung=" + gatewaytest.Gewerbe,
		"GET /_pv/areas?q=han", "GET /nothing", "TRACE /", "OPTIONS *", "POST /leistung/" + gatewaytest.Down + "/06",
	} {
		clean, forged := atOnce(t, func() *gatewaytest.Answer { return g.Ask(t, entryHost, line) }, func() *gatewaytest.Answer { return g.Ask(t, entryHost, line, forgeries()...) })
		clean.Header.Del("PV-Trace")
		forged.Header.Del("PV-Trace")
		clean.Header.Del("Date")
		forged.Header.Del("Date")
		trace := func(a *gatewaytest.Answer) string {
			instance, _ := a.Doc["instance"].(string)
			return strings.ReplaceAll(a.Body, instance, "")
		}
		if clean.Status != forged.Status || trace(clean) != trace(forged) || strings.Contains(forged.Body, "forged") {
			t.Errorf("%s: %d %s\nforged: %d %s", line, clean.Status, clean.Body, forged.Status, forged.Body)
		}
		for name := range forged.Header {
			if forged.Header.Get(name) != clean.Header.Get(name) {
				t.Errorf("%s: %s: %q, with forged fields %q", line, name, clean.Header.Get(name), forged.Header.Get(name))
			}
		}
	}
}
