// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/time/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patient is how long an answer may take that comes: a busy machine must not make it late.
	patient = 20 * time.Second
	// impatient is how long one may take that never comes.
	impatient = 500 * time.Millisecond
)

// patienceFor is how long an answer may take that leads to a result.
func patienceFor(want Result) time.Duration {
	if want == Timeout {
		return impatient
	}
	return patient
}

// quick asks without pauses; patience is how long an answer may take.
func quick(t *testing.T, roots *x509.CertPool, patience time.Duration) *asker {
	t.Helper()
	s, err := openStore(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return &asker{
		ask: newWire(Agent+"/test (+mailto:test@gw.example.de)", roots, patience).ask, limit: rate.NewLimiter(rate.Inf, 1), slots: make(chan struct{}, maxRequests), robots: s,
	}
}

func served(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// hijacked answers with bytes, of any kind and for any time.
func hijacked(t *testing.T, then func(c net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		then(c)
	}
}

// forever writes until nobody reads any more.
func forever(c net.Conn, text string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func TestEveryAnswerHasAResult(t *testing.T) {
	t.Parallel()
	var heads, gets atomic.Int32
	mux := http.NewServeMux()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "User-agent: *\nDisallow: /private\n")
	})
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.Header.Get("User-Agent") != Agent+"/test (+mailto:test@gw.example.de)" || r.Header.Get("Cookie") != "" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
	})
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			heads.Add(1)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		gets.Add(1)
		if r.Header.Get("Range") != "bytes=0-0" {
			t.Errorf("%v", r.Header)
		}
		w.WriteHeader(http.StatusPartialContent)
	})
	mux.HandleFunc("/nohead", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			panic(http.ErrAbortHandler)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	for _, code := range []int{400, 401, 403, 404, 410, 416, 418, 429, 500, 503, 599} {
		mux.HandleFunc(fmt.Sprint("/", code), status(code))
	}
	mux.HandleFunc("/drip", hijacked(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
		forever(c, "x", 20*time.Millisecond)
	}))
	mux.HandleFunc("/heads", hijacked(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		forever(c, "X: "+strings.Repeat("y", 1000)+"\r\n", 0)
	}))
	mux.HandleFunc("/continue", hijacked(t, func(c net.Conn) { forever(c, "HTTP/1.1 100 Continue\r\n\r\n", 0) }))
	mux.HandleFunc("/noise", hijacked(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }))
	mux.HandleFunc("/to/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(301)
	})
	mux.HandleFunc("/for-now", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/to/?to=/ok", http.StatusFound) })
	mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again?n="+r.URL.Query().Get("n")+"1", http.StatusFound)
	})
	base := served(t, mux.ServeHTTP)
	askers := map[time.Duration]*asker{patient: quick(t, nil, patient), impatient: quick(t, nil, impatient)}
	for path, want := range map[string]verdict{
		"/ok":                            {Result: OK, Code: 200},
		"/ok#/part":                      {Result: OK, Code: 200},
		"/get":                           {Result: OK, Code: 206},
		"/nohead":                        {Result: OK, Code: 200},
		"/endless":                       {Result: OK, Code: 200},
		"/400":                           {Result: ClientError, Code: 400},
		"/401":                           {Result: Denied, Code: 401},
		"/403":                           {Result: Denied, Code: 403},
		"/404":                           {Result: Gone, Code: 404},
		"/410":                           {Result: Gone, Code: 410},
		"/416":                           {Result: OK, Code: 416},
		"/418":                           {Result: ClientError, Code: 418},
		"/500":                           {Result: ServerError, Code: 500},
		"/599":                           {Result: ServerError, Code: 599},
		"/private/x":                     {Result: Robots},
		"/drip":                          {Result: Timeout},
		"/heads":                         {Result: Unreachable},
		"/continue":                      {Result: Unreachable},
		"/noise":                         {Result: Unreachable},
		"/to/?to=/ok":                    {Result: Redirected, Code: 301, To: base + "/ok", Moved: true},
		"/for-now":                       {Result: Redirected, Code: 302, To: base + "/ok"},
		"/to/?to=/404":                   {Result: Gone, Code: 404, To: base + "/404"},
		"/to/?to=/private":               {Result: Robots, To: base + "/private"},
		"/to/?to=/again":                 {Result: RedirectFault, Code: 302, To: base + "/again?n=11111"},
		"/to/?to=/to/":                   {Result: RedirectFault, Code: 301, To: base + "/to/"},
		"/to/?to=file:///etc/passwd":     {Result: RedirectFault, Code: 301, To: "file:///etc/passwd"},
		"/to/?to=https://u:p@a.example/": {Result: RedirectFault, Code: 301},
		"/to/?to=http:///":               {Result: RedirectFault, Code: 301, To: "http:///"},
	} {
		if got := askers[patienceFor(want.Result)].check(t.Context(), target{base + path, true}); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if heads.Load() != 1 || gets.Load() != 1 {
		t.Errorf("%d times HEAD, %d times GET", heads.Load(), gets.Load())
	}
	for _, path := range []string{"/429", "/503"} { // the last of this host: it wants to be left alone now
		a, from := quick(t, nil, patient), time.Now()
		want := verdict{Result: Denied, Code: 429}
		if path == "/503" {
			want = verdict{Result: ServerError, Code: 503}
		}
		if got := a.check(t.Context(), target{base + path, true}); got != want {
			t.Errorf("%s: %+v", path, got)
		}
		if freed := a.gates.freed("127.0.0.1"); freed.Before(from.Add(firstHold)) || freed.After(time.Now().Add(firstHold)) {
			t.Errorf("%s: held for %v", path, time.Until(freed))
		}
	}
}

func TestRedirectsInCirclesEnd(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	base := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		n.Add(1)
		http.Redirect(w, r, map[string]string{"/a": "/b", "/b": "/c", "/c": "/a"}[r.URL.Path], http.StatusFound)
	})
	a := quick(t, nil, patient)
	if got := a.check(t.Context(), target{base + "/a", true}); got.Result != RedirectFault || n.Load() != 3 {
		t.Errorf("%+v after %d requests", got, n.Load())
	}
}

func TestNamesConnectionsAndCertificatesThatDoNotHold(t *testing.T) {
	t.Parallel()
	const dead = "http://127.0.0.1:1/" // a port that was free a moment ago may be another test's by now
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer secure.Close()
	plain := served(t, func(http.ResponseWriter, *http.Request) {})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	for name, tc := range map[string]struct {
		url   string
		roots *x509.CertPool
		want  Result
	}{
		"nobody listens":        {dead, nil, Unreachable},
		"no name":               {"http://nobody.invalid/", nil, DNS},
		"nobody vouches":        {secure.URL + "/", nil, TLS},
		"somebody vouches":      {secure.URL + "/", roots, OK},
		"no TLS":                {strings.Replace(plain, "http", "https", 1), nil, TLS},
		"a certificate's names": {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), roots, TLS},
	} {
		if got := quick(t, tc.roots, patient).check(t.Context(), target{tc.url, true}); got.Result != tc.want {
			t.Errorf("%s: %+v, want %v", name, got, tc.want)
		}
	}
}

// CP-01: no link and no redirect leads a check to this machine, to what is near it, or to metadata.
func TestCP01NoLinkLeadsToWhereNothingMayBeAsked(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	base := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			return
		}
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			return
		}
		asked.Add(1)
	})
	port := base[strings.LastIndex(base, ":"):]
	for _, host := range []string{
		"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0", "0.0.0.0", "10.0.0.1", "192.168.0.1", "100.64.0.1",
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200", "[fe80::1]",
	} {
		got := quick(t, nil, patient).check(t.Context(), target{"http://" + host + port + "/", false})
		if got.Result != Address && got.Result != DNS || asked.Load() > 0 { // some spellings are no address here, and no name
			t.Errorf("%s: %+v", host, got)
		}
		// Where private addresses are allowed, they are to the row and not to a redirect of somebody else.
		if host == "127.0.0.1" {
			continue
		}
		got = quick(t, nil, patient).check(t.Context(), target{base + "/?to=" + neturl.QueryEscape("http://"+host+port+"/"), true})
		if got.Result != Address && got.Result != DNS || asked.Load() > 0 {
			t.Errorf("a redirect to %s: %+v", host, got)
		}
	}
	for _, host := range []string{"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0"} { // never
		if got := quick(t, nil, patient).check(t.Context(), target{"http://" + host + port + "/", true}); got.Result != Address {
			t.Errorf("%s where private addresses are allowed: %+v", host, got)
		}
	}
}

// What a server sends costs no memory: neither bodies nor a robots.txt without end.
func TestAnswersWithoutEndCostNothing(t *testing.T) { //nolint:paralleltest // what other tests allocate would be in it
	var sent atomic.Int64
	base := served(t, func(w http.ResponseWriter, r *http.Request) {
		line := strings.Repeat("Disallow: /x\n", 1000)
		if r.URL.Path != "/robots.txt" {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
		} else if _, err := io.WriteString(w, "User-agent: somebody\n"); err != nil {
			return
		}
		for range 1 << 30 / len(line) {
			n, err := io.WriteString(w, line)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := quick(t, nil, patient)
	if got := a.check(t.Context(), target{base + "/a", true}); got.Result != OK {
		t.Errorf("%+v", got)
	}
	runtime.ReadMemStats(&after)
	if n := sent.Load(); n > 64<<20 { // what is read, and what fits into the sockets
		t.Errorf("%d bytes were taken", n)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 { // the server's are in it
		t.Errorf("%d bytes were allocated", n)
	}
}

// robots.txt that cannot be had closes a host, or opens it, as RFC 9309 says; a host that is away is away.
func TestRobotsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		robots http.HandlerFunc
		want   Result
	}{
		"404":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, OK},
		"403":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, OK},
		"500":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, Robots},
		"503":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, Robots},
		"elsewhere":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/robots", http.StatusFound) }, Robots},
		"in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/robots.txt", http.StatusFound) }, OK},
		"where nobody goes": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
		}, Robots},
		"never": {hijacked(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nUser-agent: *\n")
			forever(c, " ", 20*time.Millisecond)
		}), Timeout},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/robots.txt", tc.robots)
		mux.HandleFunc("/robots", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "User-agent: *\nDisallow: /") })
		mux.HandleFunc("/a", func(http.ResponseWriter, *http.Request) {})
		if got := quick(t, nil, patienceFor(tc.want)).check(t.Context(), target{served(t, mux.ServeHTTP) + "/a", true}); got.Result != tc.want {
			t.Errorf("%s: %+v, want %v", name, got, tc.want)
		}
	}
}

// The end of a process ends what is under way, and says nothing of it.
func TestWhatIsUnderWayEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	base := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	var v verdict
	var done sync.WaitGroup
	a := quick(t, nil, time.Minute)
	done.Go(func() { v = a.check(ctx, target{base + "/", true}) })
	<-arrived
	cancel()
	done.Wait()
	if !v.postponed {
		t.Errorf("%+v", v)
	}
}
