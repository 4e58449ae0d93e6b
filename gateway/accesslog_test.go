// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/http1"
)

// logging is a standard gateway that keeps an access log; the function it returns ends the log and returns its text.
func logging(t *testing.T, answer func(*gatewaytest.Seen) string) (g *gatewaytest.Gateway, origin *gatewaytest.Origin, text func() []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "access.log")
	l, err := accesslog.Start(accesslog.Options{Open: accesslog.File(file), Notes: http1.Causes(), Events: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	origin = gatewaytest.NewOrigin(t, answer)
	o := gatewaytest.StandardOptions(t, origin)
	o.Limits = func(o *gateway.Options) { o.AccessLog = l }
	g = gatewaytest.Start(t, o)
	return g, origin, func() []byte {
		if _, err := g.Server.Stats(); err != nil { // every loop has ended what it had begun
			t.Fatal(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// The line of an exchange says what happened to it, under the name that PV-Trace gave to the client.
func TestTheAccessLogTellsWhatHappened(t *testing.T) {
	t.Parallel()
	g, _, text := logging(t, func(s *gatewaytest.Seen) string {
		switch {
		case strings.HasSuffix(s.Target(), "/broken"):
			return "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello"
		case strings.HasSuffix(s.Target(), "/half"):
			return "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello"
		}
		return gatewaytest.OK("hello")
	})
	const parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	firefox := "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	type want map[string]any
	var wants []want
	ask := func(from, host, line string, w want, fields ...string) {
		a := g.AskFrom(t, from, host, line, fields...)
		w["trace_id"] = a.Header.Get("PV-Trace")
		wants = append(wants, w)
	}
	ask(gatewaytest.Direct, entryHost, "GET /leistung/"+gatewaytest.Gewerbe+"/"+gatewaytest.Marburg, want{
		"status": 303, "reason": "handover", "fault": "none", "sender": "direct", "land": "06", "kreis": "06534", "leistung": gatewaytest.Gewerbe,
		"backend": "marburg", "endpoint": "", "mode": "redirect", "method": "GET", "proto": "h1", "attempt": 0, "snapshot": "test", "ip_prefix": "127.0.0.0/24", "ua_class": "browser",
	}, firefox)
	ask(gatewaytest.Known, entryHost, "POST "+inPlace, want{
		"status": 200, "reason": "none", "fault": "none", "sender": "hessen", "land": "06", "leistung": gatewaytest.Gewerbe, "backend": "hessen",
		"kreis": "06435", "mode": "proxy", "method": "POST", "attempt": 1, "bytes_in": 2, "bytes_out": 5, "ua_class": "tool", "note": "",
	}, parent, "User-Agent: curl/8", "Content-Length: 2", "\r\nok")
	ask(gatewaytest.Direct, hessenHost, "PROPFIND /x?y", want{"status": 200, "land": "none", "kreis": "", "leistung": "", "backend": "hessen", "mode": "proxy", "method": "OTHER", "ua_class": "none"})
	ask(gatewaytest.Direct, entryHost, "GET /leistung/"+gatewaytest.Kfz+"/"+gatewaytest.Marburg, want{"status": 404, "reason": "no_route", "fault": "registry", "kreis": "06534", "backend": "", "mode": "none"})
	ask(gatewaytest.Direct, entryHost, "GET /leistung/"+gatewaytest.Bund+"/-", want{"status": 303, "land": "none", "kreis": "", "backend": "other", "mode": "redirect"})
	ask(gatewaytest.Direct, entryHost, "GET /leistung/"+gatewaytest.Gewerbe+"/06", want{"status": 400, "reason": "area_required", "land": "06", "kreis": ""})
	ask(gatewaytest.Direct, entryHost, "POST /leistung/"+gatewaytest.Down+"/06", want{"status": 502, "reason": "connect_refused", "fault": "backend", "backend": "dead", "endpoint": "", "attempt": 1, "mode": "proxy"})
	ask(gatewaytest.Direct, entryHost, "GET /", want{"status": 400, "reason": "bad_request", "fault": "client", "note": "duplicate-host", "mode": "none"}, "Host: "+entryHost)
	ask(gatewaytest.Direct, entryHost, "GET /a/../b", want{"status": 400, "reason": "bad_path", "note": ""})
	ask(gatewaytest.Direct, hessenHost, "GET /broken", want{"status": 502, "reason": "response_invalid", "note": "bare-lf", "backend": "hessen"})
	ask(gatewaytest.Direct, hessenHost, "GET /half", want{"status": 200, "reason": "response_incomplete", "note": "truncated", "backend": "hessen", "bytes_out": 5})
	ask(gatewaytest.Direct, hessenHost, "POST /", want{"status": 400, "reason": "bad_request", "note": "chunk-size", "mode": "proxy"}, "Transfer-Encoding: chunked", "\r\nzz\r\n")

	lines := map[string]map[string]any{}
	all := text()
	for line := range bytes.Lines(all) {
		fields := map[string]any{}
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines[fields["trace_id"].(string)] = fields
	}
	for i, w := range wants {
		line, ok := lines[w["trace_id"].(string)]
		if !ok {
			t.Errorf("request %d: no line for PV-Trace %v in\n%s", i, w["trace_id"], all)
			continue
		}
		got := want{}
		for name, value := range w {
			if n, ok := value.(int); ok {
				w[name] = float64(n)
			}
			got[name] = line[name]
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("request %d: -want +got\n%s", i, d)
		}
		if line["status"] == 200.0 && !strings.HasPrefix(line["endpoint"].(string), "127.0.0.1:") {
			t.Errorf("request %d: endpoint %q", i, line["endpoint"])
		}
		if total, backend := line["ms_total"].(float64), line["ms_backend"].(float64); total < backend || total > 20_000 {
			t.Errorf("request %d: %v ms in all, %v of them at the backend", i, total, backend)
		}
	}
	if len(lines) != len(wants) {
		t.Errorf("%d lines for %d requests", len(lines), len(wants))
	}
	if got := g.Samples(t)["pvgate_log_dropped_total"]; got != 0 {
		t.Errorf("%v lines dropped", got)
	}
}

// OB-01: nothing that a client has written gets into the log, wherever it stood: no path, no query, no field, no body,
// and of the address no more than its network. Each request carries a marker in every place that has room for one.
func TestOB01NothingAClientWroteIsOnDisk(t *testing.T) {
	t.Parallel()
	g, _, text := logging(t, nil)
	random := rand.New(rand.NewPCG(7, 7))
	const marker = "Geheimnis"
	secret := func() string {
		return marker + []string{"", "%0a", "%22", "\\", "'", "%00", "%E2%80%A8", "%1b%5b31m", "&", "+"}[random.IntN(10)] + fmt.Sprint(random.IntN(1000))
	}
	field := func() string { // what a field's value may hold beside that
		return marker + []string{"", "\"", "\\", `","status":200`, "\t", "\xff", "\u2028", "</script>"}[random.IntN(8)]
	}
	areas := []string{gatewaytest.Marburg, "06", "-", "06534", "00", secret()}
	keys := []string{gatewaytest.Gewerbe, gatewaytest.Fischen, gatewaytest.Kfz, gatewaytest.Bund, gatewaytest.Down, "99999999999999", secret()}
	methods := []string{"GET", "POST", "HEAD", "PUT", "OPTIONS", marker, "TRACE"}
	hosts := []string{entryHost, hessenHost, "legacy." + gatewaytest.Domain, strings.ToLower(marker) + ".example", "127.0.0.1"}
	asked := 0
	for range 1500 {
		from := fmt.Sprintf("127.%d.%d.%d", 1+random.IntN(200), 1+random.IntN(200), 101+random.IntN(99)) // no such octet stands in an endpoint
		target := "/" + secret()
		switch random.IntN(4) {
		case 0:
			target = "/leistung/" + keys[random.IntN(len(keys))] + "/" + areas[random.IntN(len(areas))] + "/" + secret()
		case 1:
			target = "/leistung/" + keys[random.IntN(len(keys))] + "/" + areas[random.IntN(len(areas))]
		case 2:
			target = "/_pv/" + []string{"areas?q=", "route?leistung=", "reasons/", ""}[random.IntN(4)] + secret()
		}
		if random.IntN(2) == 0 {
			target += "?" + secret() + "=" + secret()
		}
		fields := []string{
			"User-Agent: " + []string{"", "Mozilla/5.0 ", "curl/"}[random.IntN(3)] + field(), "Cookie: " + field(), "Referer: https://a.example/" + field(),
			"X-" + marker + ": " + field(), "Accept-Language: " + field(), "PV-Sender: " + field(), "X-Forwarded-For: 203.0.113.241", "Forwarded: for=203.0.113.241",
			"traceparent: " + field(), "tracestate: " + field(), "Content-Length: 9", "\r\n" + marker,
		}
		switch random.IntN(12) {
		case 0:
			fields = append([]string{marker + " : " + field()}, fields...)
		case 1:
			fields = append([]string{"Transfer-Encoding: " + marker}, fields...)
		case 2:
			fields = append([]string{"Expect: " + marker}, fields...)
		}
		g.AskFrom(t, from, hosts[random.IntN(len(hosts))], methods[random.IntN(len(methods))]+" "+target, fields...)
		asked++
	}
	all := text()
	if n := bytes.Count(all, []byte("\n")); n != asked {
		t.Errorf("%d lines for %d requests", n, asked)
	}
	for line := range bytes.Lines(all) {
		var parts map[string]any
		if err := json.Unmarshal(line, &parts); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Contains(strings.ToLower(string(line)), strings.ToLower(marker)) || bytes.Contains(line, []byte("leistung/")) || bytes.Contains(line, []byte("_pv")) {
			t.Fatalf("a client's own words are in %s", line)
		}
		prefix, _ := parts["ip_prefix"].(string)
		if !strings.HasSuffix(prefix, ".0/24") || bytes.Contains(line, []byte("203.0.113")) || bytes.Contains(line, []byte(gatewaytest.Marburg)) {
			t.Fatalf("more than a network or a Kreis is in %s", line)
		}
		for octet := 101; octet < 200; octet++ { // the last octet of the client's own address
			if strings.Contains(string(line), strings.TrimSuffix(prefix, "0/24")+fmt.Sprint(octet)) {
				t.Fatalf("an address is in %s", line)
			}
		}
	}
}
