// SPDX-License-Identifier: EUPL-1.2

package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is what servers of these tests have.
func content() []byte {
	b := make([]byte, 300_000)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// served is a server with one handler, and the file that is got from it.
func served(t *testing.T, handler http.HandlerFunc) File {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return got(t, server.URL+"/x.pvb?key=secret", Policy{HTTP: true})
}

func got(t *testing.T, place string, p Policy) File {
	t.Helper()
	client := Client(p)
	t.Cleanup(client.CloseIdleConnections)
	return File{Source: "bund", Place: place, Dir: t.TempDir(), MaxSize: 1 << 20, Client: client}
}

func causeOf(err error) source.Cause {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r.Cause
	}
	return ""
}

// static serves content with an entity-tag as every file server does, ranges included.
func static(etag string, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "x.pvb", time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), bytes.NewReader(data))
	}
}

func holds(t *testing.T, g Got, want []byte) {
	t.Helper()
	data, err := os.ReadFile(g.Path)
	if err != nil || !bytes.Equal(data, want) {
		t.Errorf("%d bytes came, want %d: %v", len(data), len(want), err)
	}
}

func TestFileIsBroughtOnceAndThenOnlyWhenItChanges(t *testing.T) {
	t.Parallel()
	f := served(t, static(`"a"`, content()))
	first, err := Get(t.Context(), f, Version{})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, first, content())
	if first.Version.ETag != `"a"` || !first.Version.Modified.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", first.Version)
	}
	for name, have := range map[string]Version{"by its tag": first.Version, "by its date": {Modified: first.Version.Modified}} {
		if again, err := Get(t.Context(), f, have); err != nil || again.Path != "" || again.Version != have {
			t.Errorf("unchanged %s: %+v, %v", name, again, err)
		}
	}
	if other, err := Get(t.Context(), f, Version{ETag: `"b"`}); err != nil || other.Path == "" {
		t.Errorf("changed: %+v, %v", other, err)
	}
	if names, err := os.ReadDir(f.Dir); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestPathIsUsedWhereItIs(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "x.pvb")
	f := File{Source: "s", Place: place, MaxSize: 10}
	if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseUnreachable {
		t.Errorf("no file: %v", err)
	}
	for text, want := range map[string]source.Cause{"": source.CauseEmpty, "12345678901": source.CauseOversized} {
		if err := os.WriteFile(place, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Get(t.Context(), f, Version{}); causeOf(err) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.WriteFile(place, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := Get(t.Context(), f, Version{})
	if err != nil || first.Path != place {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := Get(t.Context(), f, first.Version); err != nil || again.Path != "" {
		t.Errorf("unchanged: %+v, %v", again, err)
	}
	if err := os.WriteFile(place, []byte("xy"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := Get(t.Context(), f, first.Version); err != nil || again.Path != place {
		t.Errorf("changed: %+v, %v", again, err)
	}
	f.Place = filepath.Dir(place)
	if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseUnreachable {
		t.Errorf("a directory: %v", err)
	}
}

// breaks answers only so many bytes of a file, whatever its length is, and says so at each request.
type breaks struct {
	mu     sync.Mutex
	asked  []string // the Range of each request
	after  int
	etag   string
	data   []byte
	refuse bool // no ranges
}

// whole lets it answer all of its file.
func whole(b *breaks) { b.after = 1 << 20 }

// becomes changes the server between two requests.
func (b *breaks) becomes(change func(b *breaks)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// requests are the Range of each.
func (b *breaks) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *breaks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r.Header.Get("Range"))
	from := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && r.Header.Get("If-Range") == b.etag && !b.refuse {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
	}
	w.Header().Set("ETag", b.etag)
	w.Header().Set("Content-Length", strconv.Itoa(len(b.data)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b.data)-1, len(b.data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	n := min(b.after, len(b.data)-from)
	if _, err := w.Write(b.data[from : from+n]); err != nil || n < len(b.data)-from {
		panic(http.ErrAbortHandler)
	}
}

func TestTransferThatBreaksGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	server := &breaks{after: 100_000, etag: `"a"`, data: content()}
	f := served(t, server.ServeHTTP)
	g, err := Get(t.Context(), f, Version{})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, g, content())
	if asked := server.requests(); g.Resumed == 0 || len(asked) != 3 || asked[1] != "bytes=100000-" || asked[2] != "bytes=200000-" {
		t.Errorf("resumed %d, asked %q", g.Resumed, asked)
	}
}

// What had come is used by the next Get too, also of another process.
func TestTransferGoesOnAtTheNextGet(t *testing.T) {
	t.Parallel()
	server := &breaks{after: 20_000, etag: `"a"`, data: content()} // more pieces than one Get asks for
	f := served(t, server.ServeHTTP)
	if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseTruncated {
		t.Fatalf("%v", err)
	}
	g, err := Get(t.Context(), f, Version{ETag: `"old"`})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, g, content())
	if asked := server.requests(); len(asked) != 15 || slices.Index(asked[1:], "") >= 0 {
		t.Errorf("asked %q", asked)
	}
}

// A loss of power may leave more of a file than was written, or less; only what was certain is gone on with.
func TestOnlyWhatIsOnDiskForCertainIsGoneOnWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage  func(part, about string) error
		resumed bool
	}{
		"more bytes": {func(part, _ string) error {
			f, err := os.OpenFile(part, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.Write(make([]byte, 1000))
			return errors.Join(err, f.Close())
		}, true},
		"fewer bytes":      {func(part, _ string) error { return os.Truncate(part, 1000) }, false},
		"no word about it": {func(_, about string) error { return os.Remove(about) }, false},
		"half a word":      {func(_, about string) error { return os.Truncate(about, 10) }, false},
		"no bytes":         {func(part, _ string) error { return os.Remove(part) }, false},
	} {
		server := &breaks{after: 20_000, etag: `"a"`, data: content()}
		f := served(t, server.ServeHTTP)
		if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseTruncated {
			t.Fatalf("%s: %v", name, err)
		}
		if err := tc.damage(filepath.Join(f.Dir, partFile), filepath.Join(f.Dir, partAbout)); err != nil {
			t.Fatal(err)
		}
		server.becomes(whole)
		g, err := Get(t.Context(), f, Version{})
		if err != nil || (g.Resumed > 0) != tc.resumed {
			t.Fatalf("%s: %+v, %v", name, g, err)
		}
		holds(t, g, content())
	}
}

func TestTransferBeginsAnewWhereItCannotGoOn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *breaks){
		"the file has changed":   func(b *breaks) { b.etag, b.data = `"b"`, bytes.ToUpper(b.data) },
		"no ranges any more":     func(b *breaks) { b.refuse = true },
		"the file is shorter":    func(b *breaks) { b.etag, b.data = `"b"`, b.data[:50_000] },
		"the tag says too much":  func(b *breaks) { b.etag = `W/"a"` },
		"the server has no tags": func(b *breaks) { b.etag = "" },
	} {
		server := &breaks{after: 20_000, etag: `"a"`, data: content()}
		f := served(t, server.ServeHTTP)
		if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseTruncated {
			t.Fatalf("%s: %v", name, err)
		}
		server.becomes(change)
		server.becomes(whole)
		g, err := Get(t.Context(), f, Version{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		holds(t, g, server.data)
		if g.Resumed != 0 {
			t.Errorf("%s: went on", name)
		}
	}
}

// A server that says 206 and means something else.
func TestRestsThatDoNotFitAreNotUsed(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][2]string{
		"another tag":   {`"b"`, "bytes 100000-299999/300000"},
		"another place": {`"a"`, "bytes 100001-299999/300000"},
		"not the rest":  {`"a"`, "bytes 100000-199999/300000"},
		"no range":      {`"a"`, ""},
		"nonsense":      {`"a"`, "bytes 100000-/x"},
	} {
		n := 0
		f := served(t, func(w http.ResponseWriter, r *http.Request) {
			n++
			if r.Header.Get("Range") == "" {
				server := &breaks{after: 1 << 20, etag: `"a"`, data: content()}
				if n == 1 {
					server.after = 100_000
				}
				server.ServeHTTP(w, r)
				return
			}
			w.Header().Set("ETag", header[0])
			w.Header().Set("Content-Range", header[1])
			w.WriteHeader(http.StatusPartialContent)
			if _, err := w.Write(make([]byte, 200_000)); err != nil {
				t.Error(err)
			}
		})
		g, err := Get(t.Context(), f, Version{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		holds(t, g, content())
	}
}

// CP-02, CP-07: whatever a server answers instead of the file has a cause, and no file comes of it.
func TestCP07AnswersThatAreNotTheFileHaveACause(t *testing.T) {
	t.Parallel()
	answer := func(code int, header, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(code)
			if code != http.StatusNotModified && code != http.StatusNoContent {
				_, _ = io.WriteString(w, text)
			}
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, text)
			c.Close()
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(content()); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    source.Cause
	}{
		"nothing":                      {answer(200, "", ""), source.CauseEmpty},
		"no content":                   {answer(204, "", ""), source.CauseUnreachable},
		"not modified though unasked":  {answer(304, "", ""), source.CauseUnreachable},
		"a part though unasked":        {answer(206, "Content-Range: bytes 0-3/9", "abcd"), source.CauseUnreachable},
		"not found":                    {answer(404, "", "x"), source.CauseUnreachable},
		"too much at once":             {answer(413, "", "x"), source.CauseUnreachable},
		"a broken server":              {answer(500, "", "x"), source.CauseUnreachable},
		"a server under repair":        {answer(503, "Retry-After: 7", "x"), source.CauseUnreachable},
		"asked too often":              {answer(429, "Retry-After: 7", "x"), source.CauseRateLimited},
		"a page":                       {answer(200, "Content-Type: text/html; charset=utf-8", "<html>"), source.CauseSchema},
		"compressed though unasked":    {answer(200, "Content-Encoding: gzip", packed.String()), source.CauseSchema},
		"compressed and cut":           {answer(200, "Content-Encoding: gzip", packed.String()[:100]), source.CauseSchema},
		"too long, and says so":        {answer(200, "Content-Length: 1048577", ""), source.CauseOversized},
		"too long, without a word":     {endless, source.CauseOversized},
		"cut":                          {raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), source.CauseTruncated},
		"cut in a chunk":               {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf"), source.CauseTruncated},
		"chunks without an end":        {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), source.CauseTruncated},
		"an end that could be any":     {raw("HTTP/1.1 200 OK\r\n\r\nhalf"), source.CauseTruncated},
		"a length that is none":        {raw("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhalf"), source.CauseUnreachable},
		"two lengths":                  {raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf"), source.CauseUnreachable},
		"no HTTP":                      {raw("SSH-2.0-OpenSSH_9.2\r\n"), source.CauseUnreachable},
		"no answer":                    {raw(""), source.CauseUnreachable},
		"a head without end":           {raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20_000)), source.CauseUnreachable},
		"elsewhere":                    {answer(302, "Location: https://other.example/x.pvb", ""), source.CauseURLPolicy},
		"to another scheme":            {answer(302, "Location: https://127.0.0.1/x.pvb", ""), source.CauseURLPolicy},
		"to a file of ours":            {answer(302, "Location: file:///etc/passwd", ""), source.CauseURLPolicy},
		"round in circles":             {answer(302, "Location: /again", ""), source.CauseURLPolicy},
		"a redirection that says none": {answer(302, "", ""), source.CauseUnreachable},
	} {
		f := served(t, tc.handler)
		g, err := Get(t.Context(), f, Version{})
		if causeOf(err) != tc.want || g.Path != "" {
			t.Errorf("%s: %+v, %v; want the cause %s", name, g, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the query of the URL is told: %v", name, err)
		}
		var r *source.Refusal
		if errors.As(err, &r) && (name == "asked too often" || name == "a server under repair") && r.RetryAfter != 7*time.Second {
			t.Errorf("%s: again after %v", name, r.RetryAfter)
		}
		var status *Status
		if name == "too much at once" && (!errors.As(err, &status) || status.Code != 413) {
			t.Errorf("%s: no status in %v", name, err)
		}
	}
}

// endless sends chunks, 64 times what is allowed.
func endless(w http.ResponseWriter, _ *http.Request) {
	for range 1024 {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func TestWhatIsTooLongIsNotTaken(t *testing.T) {
	t.Parallel()
	sent := make(chan int64, 1)
	f := served(t, func(w http.ResponseWriter, r *http.Request) {
		counted := &counter{ResponseWriter: w}
		endless(counted, r)
		sent <- counted.n
	})
	if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseOversized {
		t.Errorf("%v", err)
	}
	if n := <-sent; n > 32<<20 { // the limit, and what fits into the sockets
		t.Errorf("%d bytes were taken, and %d allowed", n, f.MaxSize)
	}
	if names, err := os.ReadDir(f.Dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// counter counts what its handler sends.
type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// CP-07: a server that answers drop by drop, or not at all, is given up in time.
func TestCP07SlowServersAreGivenUp(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var servers []*httptest.Server
	t.Cleanup(func() {
		close(stop)
		for _, s := range servers {
			s.CloseClientConnections()
			s.Close()
		}
	})
	drip := func(head string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, head)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"a body of drops": drip("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1000000\r\n\r\n"),
		"a head of drops": drip("HTTP/1.1 200 OK\r\nX: "),
		"a body of silence": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		},
	} {
		server := httptest.NewServer(handler)
		servers = append(servers, server)
		f := got(t, server.URL, Policy{HTTP: true, Stall: 200 * time.Millisecond})
		// Whoever is not given up is left, which is another error.
		ctx, leave := context.WithCancel(t.Context())
		late := time.AfterFunc(20*time.Second, leave)
		if _, err := Get(ctx, f, Version{}); causeOf(err) != source.CauseTimeout {
			t.Errorf("%s: %v", name, err)
		}
		late.Stop()
		leave()
	}
	f := served(t, endless)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := Get(ctx, f, Version{}); causeOf(err) != source.CauseTimeout {
		t.Errorf("the caller's deadline: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := Get(gone, f, Version{}); !errors.Is(err, context.Canceled) || causeOf(err) != "" {
		t.Errorf("the caller has left: %v", err)
	}
}

// Where nobody may ask, nobody is asked.
func TestOnlyAllowedAddressesAreAsked(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for place, policy := range map[string]Policy{
		server.URL:                              {},           // no TLS
		"http://localhost:" + port + "/":        {HTTP: true}, // a name of this machine
		"http://user:word@localhost:" + port:    {HTTP: true}, // a person
		"ftp://localhost:" + port + "/":         {HTTP: true},
		"http://localhost:" + port + "/a b.pvb": {HTTP: true},
	} {
		if _, err := Get(t.Context(), got(t, place, policy), Version{}); causeOf(err) != source.CauseURLPolicy {
			t.Errorf("%s: %v", place, err)
		}
	}
	if asked {
		t.Error("somebody was asked")
	}
	allowed := Policy{HTTP: true, Address: registry.AddressPolicy{Loopback: true}}
	if _, err := Get(t.Context(), got(t, "http://localhost:"+port+"/", allowed), Version{}); causeOf(err) != source.CauseEmpty || !asked {
		t.Errorf("an address that is allowed: %v", err)
	}
}

// Nobody but the server that the certificate names is believed.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(static(`"a"`, content()))
	defer server.Close()
	if _, err := Get(t.Context(), got(t, server.URL, Policy{}), Version{}); causeOf(err) != source.CauseUnreachable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	g, err := Get(t.Context(), got(t, server.URL, Policy{Roots: roots}), Version{})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, g, content())
}

func TestBeforeIsAskedBeforeEachRequest(t *testing.T) {
	t.Parallel()
	server := &breaks{after: 100_000, etag: `"a"`, data: content()}
	f := served(t, server.ServeHTTP)
	n := 0
	spent := &source.Refusal{Cause: source.CauseBudget, Text: "asked as often as we allow ourselves"}
	f.Client = Client(Policy{HTTP: true, Before: func(context.Context) error {
		if n++; n > 2 {
			return spent
		}
		return nil
	}})
	defer f.Client.CloseIdleConnections()
	if _, err := Get(t.Context(), f, Version{}); causeOf(err) != source.CauseBudget || n != 3 {
		t.Errorf("asked %d times: %v", n, err)
	}
}

func TestADiskThatIsFullIsNotTheSourcesFault(t *testing.T) {
	t.Parallel()
	f := served(t, static(`"a"`, content()))
	f.Dir = filepath.Join(f.Dir, "none")
	if _, err := Get(t.Context(), f, Version{}); err == nil || causeOf(err) != "" {
		t.Errorf("%v", err)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "90": 90 * time.Second, "-1": 0, "x": 0, "99999999": 24 * time.Hour,
		"Sun, 22 Nov 2026 12:00:05 GMT": 5 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "Sun, 22 Nov 2027 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
