// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// The tests of this file hold a requirement each, named by its id, against a running gateway. A gateway without the
// defence fails them.

// HD-01: who lists a field of ours in Connection does not get rid of it.
func TestHD01ConnectionCannotRemoveWhatWeAdd(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, name := range []string{
		"Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via", "PV-Sender", "PV-Leistung", "PV-ARS", "PV-Area-Level",
		"PV-Language", "traceparent", "Content-Length",
	} {
		g.Ask(t, entryHost, "POST "+inPlace, "Connection: close, "+name, name[:1]+strings.ToLower(name[1:])+"-Own: kept", "Content-Length: 2", "\r\nok")
		s := origin.Last(t)
		if s.Get(name) == "" || s.Body != "ok" {
			t.Errorf("Connection: %s: the portal got it as %q, and the body %q", name, s.Get(name), s.Body)
		}
		if s.Get("Connection") != "" && s.Get("Connection") != "keep-alive" {
			t.Errorf("Connection: %s: the portal got Connection: %s", name, s.Get("Connection"))
		}
	}
}

// HD-01 on the corpus: what must arrive does, what must not does not.
func TestHD01Corpus(t *testing.T) {
	t.Parallel()
	origin := gatewaytest.NewOrigin(t, nil)
	o := gatewaytest.StandardOptions(t, origin)
	o.Default = "legacy"
	g := gatewaytest.Start(t, o)
	for _, c := range corpus(t, "hop-by-hop.requests.jsonl") {
		n := len(origin.Requests())
		g.Raw(t, gatewaytest.Direct, c.raw(t))
		seen := origin.Requests()[n:]
		if c.Policy == "reject" && len(seen) > 0 || c.Policy == "accept" && len(seen) != 1 {
			t.Errorf("%s: %d requests have arrived, policy %s (%s)", c.Name, len(seen), c.Policy, c.Why)
			continue
		}
		if len(seen) == 0 {
			continue
		}
		text := strings.ToLower("\n" + strings.Join(seen[0].Fields, "\n") + "\n")
		for _, want := range c.Must {
			want = strings.ReplaceAll(strings.ToLower(want), "<backend host>", origin.Addr)
			if name, ok := strings.CutPrefix(want, "<the gateway-generated value of "); ok {
				// Of the names that other gateways write we write these; the others are absent.
				name = strings.TrimSuffix(name, ">")
				if slices.Contains([]string{"host", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "traceparent"}, name) {
					want = name + ": "
				} else {
					continue
				}
			}
			if !strings.Contains(text, "\n"+strings.ToLower(want)) {
				t.Errorf("%s: no %q in%s(%s)", c.Name, want, text, c.Why)
			}
		}
		for _, not := range c.MustNot {
			line := "\n" + strings.ToLower(not)
			if !strings.Contains(line, ":") {
				line += ":"
			}
			if strings.Contains(text, line) {
				t.Errorf("%s: %q in%s(%s)", c.Name, not, text, c.Why)
			}
		}
	}
}

type corpusCase struct {
	Name, Policy, Why, Target string
	Raw                       string   `json:"raw_request_base64"`
	Must                      []string `json:"upstream_must_have"`
	MustNot                   []string `json:"upstream_must_not_have"`
}

func (c *corpusCase) raw(t *testing.T) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func corpus(t *testing.T, name string) (cases []corpusCase) {
	t.Helper()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds corpora/*.jsonl")
	}
	file, err := os.ReadFile(filepath.Join(material, "corpora", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(file) {
		var c corpusCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// HD-02: names that a portal could take for protected ones do not reach it.
func TestHD02AliasesOfProtectedNames(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	names := []string{"PV-Sender", "PV-ARS", "PV-Anything", "X-PVP-UserID", "X-PVP-Roles", "X-Forwarded-For", "X-Forwarded-Prefix", "X-Real-IP", "X-Client-Cert", "X-SSL-Client-Verify", "Content-Length", "Transfer-Encoding"}
	for _, from := range []string{gatewaytest.Direct, gatewaytest.Known} {
		var fields []string
		for _, name := range names {
			for _, spelling := range []string{
				strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1),
				strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
			} {
				fields = append(fields, spelling+": forged")
			}
		}
		g.AskFrom(t, from, hessenHost, "GET /", append(fields, "X_Own: kept")...)
		s := origin.Last(t)
		for _, f := range s.Fields {
			if strings.Contains(f, "forged") {
				t.Errorf("from %s: the portal got %s", from, f)
			}
		}
		if s.Get("X_Own") != "kept" {
			t.Errorf("from %s: an underscore alone is no crime", from)
		}
	}
}

// HD-03: a protected name that we have no value for does not keep the client's.
func TestHD03ProtectedNamesAreDeletedBeforeTheyAreSet(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, from := range []string{gatewaytest.Direct, gatewaytest.Known} {
		// At the portal's own host there is no Leistung, no area and no OE to tell.
		g.AskFrom(t, from, hessenHost, "GET /", "PV-Leistung: "+gatewaytest.Gewerbe, "PV-ARS: 06", "PV-OE: x", "PV-Area-Level: 2", "PV-New: x", "X-PVP-UserID: me", "Remote-User: me", "Client-Cert: x")
		for _, name := range []string{"PV-Leistung", "PV-ARS", "PV-OE", "PV-Area-Level", "PV-New", "X-PVP-UserID", "Remote-User", "Client-Cert"} {
			if v := origin.Last(t).Get(name); v != "" {
				t.Errorf("from %s: the portal got %s: %s", from, name, v)
			}
		}
	}
}

// HD-04: only peers we know may speak of those behind them, and not about us.
func TestHD04ForwardedFieldsOfStrangers(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	forged := []string{
		"Forwarded: for=192.0.2.9;host=evil.example", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
		"X-Forwarded-Prefix: /admin", "X-Forwarded-Port: 1", "X-Forwarded-Server: evil.example", "X-Real-IP: 192.0.2.9", "X-Original-URL: /admin",
		"X-Rewrite-URL: /admin", "True-Client-IP: 192.0.2.9", "CF-Connecting-IP: 192.0.2.9", "X-Client-IP: 192.0.2.9",
	}
	for from, chain := range map[string]string{gatewaytest.Direct: "127.0.0.1", gatewaytest.Known: "192.0.2.9, 127.0.0.2"} {
		g.AskFrom(t, from, hessenHost, "GET /", forged...)
		s := origin.Last(t)
		if s.Get("X-Forwarded-For") != chain || s.Get("X-Forwarded-Host") != hessenHost || s.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("from %s: %q", from, s.Fields)
		}
		for _, name := range []string{"X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"} {
			if v := s.Get(name); v != "" {
				t.Errorf("from %s: the portal got %s: %s", from, name, v)
			}
		}
	}
}

// HD-05: we decide on the very query that is sent; nothing hides behind many, broken or oddly separated parameters.
func TestHD05NoParameterHides(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	many := strings.Repeat("a=&", 1500)
	const entry = "/leistung/" + gatewaytest.Gewerbe
	for _, tt := range []struct{ query, want string }{
		{many + "ars=" + gatewaytest.Hanau, ""},
		{"x=%zz&ars=" + gatewaytest.Hanau + "&%=1", ""},
		{"a;ars=01&ars=" + gatewaytest.Hanau, ""}, // a semicolon separates nothing
		{"ars=" + gatewaytest.Hanau + "&" + many + "ars=01", "conflicting_keys"},
		{"ars=" + gatewaytest.Hanau + "&" + many + "%61%72%73=" + gatewaytest.Hanau, "conflicting_keys"},
		{"ars=" + gatewaytest.Hanau + "&" + many + "+ags=06435014&ags=06435014", "conflicting_keys"},
	} {
		n := len(origin.Requests())
		a := g.Ask(t, entryHost, "POST "+entry+"?"+tt.query)
		seen := origin.Requests()[n:]
		if a.Reason() != tt.want || (tt.want == "") != (len(seen) == 1) {
			t.Errorf("%.60s…: %d %s, %d requests at the portal, want %q", tt.query, a.Status, a.Reason(), len(seen), tt.want)
		}
		if len(seen) == 1 {
			_, sent, _ := strings.Cut(seen[0].Target(), "?l=de&")
			if want := strings.TrimPrefix(strings.Replace("&"+tt.query, "&ars="+gatewaytest.Hanau, "", 1), "&"); sent != want {
				t.Errorf("%.60s…: sent %.80s…, want the rest of the query byte for byte", tt.query, sent)
			}
		}
	}
	if a := g.Ask(t, entryHost, "POST "+entry+"?"+strings.Repeat("a=&", 10_000)+"ars=06"); a.Status != 414 {
		t.Errorf("ten thousand parameters: %d %s, want 414", a.Status, a.Reason())
	}
}

// HD-06: names of fields that a client invents are kept nowhere: not a million of them.
func TestHD06InventedNamesAreNotKept(t *testing.T) {
	// Not parallel: it reads the heap.
	g, origin := gatewaytest.Standard(t, nil)
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	in, n := bufio.NewReader(c), 0
	send := func(requests int, host, path string) {
		for range requests {
			var head strings.Builder
			for range 80 {
				n++
				fmt.Fprintf(&head, "X-Invented-By-A-Client-%032d: 1\r\n", n)
			}
			if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n"+head.String()+"\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v %v", resp, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	heap := func() int64 {
		origin.Forget()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	send(50, entryHost, "/_pv/health")
	send(50, hessenHost, "/")
	before := heap()
	send(12_000, entryHost, "/_pv/health")
	send(500, hessenHost, "/") // forwarded: names that the way to a backend could keep
	if grown := heap() - before; n < 1_000_000 || grown > 1<<20 {
		t.Errorf("the heap has grown by %d KiB with %d invented names", grown>>10, n)
	}
}

// HD-07: ten thousand cookies cost no more than their length, and a head has an end.
func TestHD07ManyCookies(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	cookie := strings.TrimSuffix(strings.Repeat("a=b; ", 1500), "; ")
	if a := g.Ask(t, hessenHost, "GET /", "Cookie: "+cookie); a.Status != 200 || origin.Last(t).Get("Cookie") != cookie {
		t.Errorf("1500 cookies: %d %s; they are the portal's, byte for byte", a.Status, a.Reason())
	}
	for name, fields := range map[string][]string{
		"in one field":     {"Cookie: " + strings.Repeat("a=b; ", 10_000)},
		"in a field each":  strings.Split(strings.TrimSpace(strings.Repeat("Cookie: a=b\n", 1000)), "\n"),
		"in fields enough": strings.Split(strings.TrimSpace(strings.Repeat("C: "+strings.Repeat("a", 1000)+"\n", 90)), "\n"),
	} {
		n := len(origin.Requests())
		if a := g.Ask(t, hessenHost, "GET /", fields...); a.Status != 431 || a.Reason() != "head_too_large" || !strings.Contains(a.Body, `"limit":"32768 bytes in 100 fields"`) || len(origin.Requests()) != n {
			t.Errorf("%s: %d %s, want 431 head_too_large", name, a.Status, a.Reason())
		}
	}
}

// HD-08: what a portal says to us alone does not reach the client.
func TestHD08FieldsForUsStayHere(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK("ok", "Connection: close, X-Internal", "X-Internal: secret", "Keep-Alive: timeout=1", "Proxy-Authenticate: Basic", "PV-Sender: x",
			"PV-Leistung: x", "Alt-Svc: h2=\"evil:443\"", "Upgrade: h2c", "X-Own: kept")
	})
	a := g.Ask(t, hessenHost, "GET /")
	for _, name := range []string{"X-Internal", "Keep-Alive", "Proxy-Authenticate", "PV-Sender", "PV-Leistung", "Alt-Svc", "Upgrade", "Connection"} {
		if v := a.Header.Get(name); v != "" {
			t.Errorf("the client got %s: %s", name, v)
		}
	}
	if a.Header.Get("X-Own") != "kept" || a.Body != "ok" {
		t.Errorf("X-Own %q, body %q", a.Header.Get("X-Own"), a.Body)
	}
}

// sixReadings are ways in which portals have been seen to read a path.
func sixReadings(p string) []string {
	once, err := url.PathUnescape(p)
	if err != nil {
		once = p
	}
	segments := strings.Split(p, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return []string{
		p, path.Clean(p), path.Clean(once), strings.ReplaceAll(p, "//", "/"), path.Clean(strings.ReplaceAll(once, `\`, "/")), path.Clean(strings.Join(segments, "/")),
	}
}

// RT-01: a rest never leaves the base path it was given, however the portal reads it.
func TestRT01NoRestLeavesItsBasePath(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	rests := []string{
		"/../admin", "/..", "/.", "/%2e%2e/admin", "/.%2e/admin", "/%2E./admin", "/..%2fadmin", "/%2e%2e%2fadmin", "/..;/admin", "/..;x=1/admin", "/%2e%2e;/admin",
		"/..%5cadmin", "/..\\admin", "/%5c..%5cadmin", "/a/../../../admin", "//../admin", "/a//../../admin", "/%252e%252e/admin", "/..%00/admin",
		"/..%3b/admin", "/%3b/../admin", "/;/../admin", "/a;/..;/admin", "/\x00", "/.%00./admin", "/%c0%ae%c0%ae/admin", "/..%c0%af", "/%u002e%u002e/admin",
	}
	for _, c := range rests {
		n := len(origin.Requests())
		for _, line := range []string{"POST /leistung/" + gatewaytest.Fischen + "/06" + c, "POST /leistung/" + gatewaytest.Kfz + "/01" + c} {
			g.Ask(t, entryHost, line)
		}
		for _, s := range origin.Requests()[n:] {
			p, _, _ := strings.Cut(s.Target(), "?")
			for i, r := range sixReadings(p) {
				if !strings.HasPrefix(r+"/", "/fischen/") && !strings.HasPrefix(r+"/", "/kfz/") {
					t.Errorf("%q: reading %d of %q is %q, outside the base path", c, i, p, r)
				}
			}
		}
	}
}

// RT-01 on the corpus: of the paths below /service-a none is read as another's.
func TestRT01Corpus(t *testing.T) {
	t.Parallel()
	origin := gatewaytest.NewOrigin(t, nil)
	o := gatewaytest.StandardOptions(t, origin)
	o.Default = "legacy"
	g := gatewaytest.Start(t, o)
	for _, c := range corpus(t, "path-normalisation.requests.jsonl") {
		n := len(origin.Requests())
		g.Raw(t, gatewaytest.Direct, c.raw(t))
		for _, s := range origin.Requests()[n:] {
			p, _, _ := strings.Cut(s.Target(), "?")
			for _, prefix := range []string{"/public", "/service-a"} {
				for i, r := range sixReadings(p) {
					if strings.HasPrefix(p+"/", prefix+"/") && !strings.HasPrefix(r+"/", prefix+"/") && !strings.HasPrefix(r, prefix+";") {
						t.Errorf("%s: %q: reading %d of %q is %q, outside %s", c.Name, c.Target, i, p, r, prefix)
					}
				}
			}
		}
	}
}

// RT-03: hosts are bytes; no letter that Unicode folds to one of ours is ours.
func TestRT03HostsThatOnlyLookLikeOurs(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, host := range []string{
		"ｇｗ.example.de", "gw。example.de", "he\u017Fsen.gw.example.de", "hes\u017Fen.gw.example.de", "\u212Afz.gw.example.de", "xn--hessn-kva.gw.example.de",
		"xn--gw-.example.de", "%68essen.gw.example.de", "hessen.gw.example.de.", "hessen..gw.example.de", "hessen.gw.example.de%00", "hessen.gw.example.de@evil",
		"evil.hessen.gw.example.de", "hessen.gw.example.de.evil.example", "hessen.gw.example.de:80:80", "hessen,gw.example.de", "127.0.0.1", "localhost", "[::1]",
	} {
		if a := g.Ask(t, host, "GET /_pv/health"); a.Status != 421 && a.Status != 400 {
			t.Errorf("%s: %d %s, want 421 or 400", host, a.Status, a.Reason())
		}
	}
	for _, host := range []string{"HESSEN.gw.EXAMPLE.de", "hessen.gw.example.de:8080"} {
		if a := g.Ask(t, host, "GET /x"); a.Status != 200 {
			t.Errorf("%s: %d %s, want 200: ASCII case and port do not matter", host, a.Status, a.Reason())
		}
	}
	if n := len(origin.Requests()); n != 2 {
		t.Errorf("%d requests have reached the portal, want 2", n)
	}
}

// RT-04: what we redirect to is made of configuration and registry; nothing a client writes leads off-site.
func TestRT04NoOpenRedirect(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	ours := []string{"http://" + hessenHost + "/gewerbe/", "http://" + hessenHost + ":8080/gewerbe/", gatewaytest.MarburgURL}
	redirects := 0
	for _, host := range []string{entryHost, entryHost + ":8080", entryHost + ":@evil.example"} {
		for _, target := range []string{
			"//evil.example/", "/\\evil.example", "/%2f%2fevil.example", "/%5cevil.example", "/leistung//evil.example", "http://evil.example/leistung",
			inPlace + "//evil.example/", inPlace + "/%2f%2fevil.example", inPlace + "/\\evil.example", inPlace + "/@evil.example", inPlace + "/..//evil.example",
			inPlace + "?//evil.example", inPlace + "?_pv=//evil.example", inPlace + "/%0d%0aLocation:%20//evil.example", inPlace + "/a%0d%0aX: y",
			"/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg + "?next=//evil.example&url=http://evil.example",
		} {
			a := g.Ask(t, host, "GET "+target, "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
			location := a.Header.Get("Location")
			if location == "" {
				continue
			}
			redirects++
			fine := false
			for _, prefix := range ours {
				fine = fine || strings.HasPrefix(location, prefix)
			}
			if !fine || a.Header.Get("X") != "" {
				t.Errorf("%s at %s leads to %q", target, host, location)
			}
		}
	}
	if redirects < 10 {
		t.Errorf("%d redirects: this test sees nothing", redirects)
	}
}

// RT-05: a key is its digits: no spelling, letter of another alphabet or mutation leads to another Leistung's portal.
func TestRT05KeysAreStrict(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"0", "9", "1", ".", "%20", "-", "%2e", "%30", "%EF%BC%90", "%D9%A0", "²", "x", "%00", "%0a", "urn:", "%2F", ";", "+", "", "%"}
	key := []byte(gatewaytest.Gewerbe)
	led := 0
	const many = 3000
	for range many {
		var b strings.Builder
		for i := range key {
			switch random.IntN(30) {
			case 0:
				b.WriteString(pieces[random.IntN(len(pieces))])
			case 1:
				b.WriteString(pieces[random.IntN(len(pieces))])
				b.WriteByte(key[i])
			default:
				b.WriteByte(key[i])
			}
		}
		a := g.Ask(t, entryHost, "GET /leistung/"+b.String()+"/"+gatewaytest.Marburg)
		if a.Status == 303 {
			led++
			text, err := url.PathUnescape(b.String())
			if err != nil || strings.NewReplacer(" ", "", ".", "", "-", "").Replace(text) != gatewaytest.Gewerbe {
				t.Errorf("%s leads to %s", b.String(), a.Header.Get("Location"))
			}
			continue
		}
		if a.Status != 400 && a.Status != 404 {
			t.Errorf("%s: %d %s, want 303, 400 or 404", b.String(), a.Status, a.Reason())
		}
	}
	if led == 0 || led == many {
		t.Errorf("%d of the keys have led somewhere: this test sees nothing", led)
	}
	for _, long := range []string{strings.Repeat("9", 4000), strings.Repeat("%39", 2000), strings.Repeat(".", 4000)} {
		if a := g.Ask(t, entryHost, "GET /leistung/"+long+"/06"); a.Status != 400 || len(a.Body) > 2000 {
			t.Errorf("%d octets: %d, %d octets of answer; want 400 and no echo", len(long), a.Status, len(a.Body))
		}
	}
}

// OB-01: what a client writes stays one line of text wherever it is repeated.
func TestOB01NothingOfAClientBreaksALine(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, value := range []string{"%0aX:%20y", "%0d%0a%0d%0a", "%1b[31m", "%E2%80%A8", "%C2%85", "%E2%80%AE", "%FF%FE", "%22%7D", "<script>", strings.Repeat("%0a", 900)} {
		for _, accept := range []string{"application/json", "text/html"} {
			for _, target := range []string{"/leistung/" + value + "/06", "/leistung/" + gatewaytest.Gewerbe + "/" + value, "/leistung/" + gatewaytest.Gewerbe + "?ars=" + value, "/" + value, "/_pv/reasons/" + value} {
				raw := g.Bytes(t, "GET "+target+" HTTP/1.1\r\nHost: "+entryHost+"\r\nAccept: "+accept+"\r\nConnection: close\r\n\r\n")
				head, body, _ := strings.Cut(raw, "\r\n\r\n")
				if strings.Contains(head, "\r\nX:") || strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x1b") {
					t.Errorf("%s: head %q", target, head)
				}
				if strings.ContainsAny(body, "\x1b\u2028\u0085\u202e\r") || strings.Contains(body, "<script>") {
					t.Errorf("%s: body %q", target, body)
				}
				if accept == "application/json" && (!json.Valid([]byte(body)) || strings.Count(body, "\n") != 1) {
					t.Errorf("%s: %q is not one line of JSON", target, body)
				}
			}
		}
	}
}

// OB-01: the fields of a sender we know are repeated in its answers too.
func TestOB01NothingOfAKnownSenderReordersALine(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, value := range []string{"1\u202e2", "1\u0085\u2028", "\xff\xfe", "1\u2066<b>\u2069"} {
		for _, accept := range []string{"application/json", "text/html"} {
			a := g.AskFrom(t, gatewaytest.Known, entryHost, "GET /leistung", "Accept: "+accept, "PV-Leistung: "+value, "PV-ARS: "+value)
			if a.Status != 400 || strings.ContainsAny(a.Body, "\u202e\u0085\u2028\u2066\u2069") || strings.Contains(a.Body, "<b>") || !utf8.ValidString(a.Body) {
				t.Errorf("%q: %d %q", value, a.Status, a.Body)
			}
		}
	}
}

// RS-08: bodies and their codings pass as they are; nothing here unpacks anything.
func TestRS08CodedBodiesPassAsTheyAre(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	g, origin := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK(bomb.String(), "Content-Encoding: gzip", "Vary: Accept-Encoding")
	})
	a := g.Ask(t, hessenHost, "POST /", "Accept-Encoding: br;q=0.5, gzip, x-own", "Content-Encoding: gzip", fmt.Sprintf("Content-Length: %d", bomb.Len()), "\r\n"+bomb.String())
	s := origin.Last(t)
	if a.Body != bomb.String() || a.Header.Get("Content-Encoding") != "gzip" || s.Body != bomb.String() || s.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d octets as %q to the client, %d as %q to the portal, want %d as gzip", len(a.Body), a.Header.Get("Content-Encoding"), len(s.Body), s.Get("Content-Encoding"), bomb.Len())
	}
	if got := s.Get("Accept-Encoding"); got != "br;q=0.5, gzip, x-own" {
		t.Errorf("Accept-Encoding: %q", got)
	}
}

// RS-09: the cost of a request grows with its length and not faster, whatever it is made of.
func TestRS09LongRequestsCostTheirLength(t *testing.T) {
	// Not parallel: it measures time.
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string { return gatewaytest.OK("ok", "Connection: close") })
	cost := func(request func(n int) string, n int) time.Duration {
		raw, least := request(n), time.Hour
		for range 15 {
			begin := time.Now()
			g.Raw(t, gatewaytest.Direct, raw)
			least = min(least, time.Since(begin))
		}
		return least
	}
	target := func(unit string) func(int) string {
		return func(n int) string {
			return "GET /" + strings.Repeat(unit, n/len(unit)) + " HTTP/1.1\r\nHost: " + hessenHost + "\r\n\r\n"
		}
	}
	field := func(name, unit string) func(int) string {
		return func(n int) string {
			return "GET / HTTP/1.1\r\nHost: " + hessenHost + "\r\n" + name + ": " + strings.Repeat(unit, n/len(unit)) + "\r\n\r\n"
		}
	}
	plain := field("X-Own", "a")
	for name, request := range map[string]func(n int) string{
		"dots": target("a/../"), "slashes": target("//"), "percent": target("%2e%2e/"), "parameters": target("leistung/;"), "query": target("?a=%61&"),
		"keys": target("leistung/?ars=06&"), "connection": field("Connection", "a, "), "cookie": field("Cookie", "a=b; "), "language": field("Accept-Language", "de;q=0.5, "),
		"accept": field("Accept", "text/html;q=0.1, "), "forwarded": field("Forwarded", "for=a;by=b, "), "trace": field("tracestate", "a=b,"),
	} {
		// As many octets that mean nothing take as long, within 100 ns for each; one comparison of every member with every
		// other is some milliseconds. Once is enough, for the machine may do something else meanwhile.
		var like, long time.Duration
		for range 5 {
			if like, long = cost(plain, 8000), cost(request, 8000); long < 3*like+800*time.Microsecond {
				break
			}
		}
		if long >= 3*like+800*time.Microsecond {
			t.Errorf("%s: 8000 octets take %v, others %v", name, long, like)
		}
	}
}
