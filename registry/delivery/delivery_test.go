// SPDX-License-Identifier: EUPL-1.2

package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func causeOf(err error) source.Cause {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r.Cause
	}
	return ""
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// content is what the files of a delivery hold, by name.
func content(t *testing.T, files []objects.File) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

func TestAFolderIsADelivery(t *testing.T) {
	t.Parallel()
	want := map[string]string{"a.xml": "A", "sub/ü b.xml": "B"}
	dir := folder(t, map[string]string{"index.txt": "\ufeffa.xml\r\n\r\nsub/ü b.xml\r\na.xml\r\n", "a.xml": "A", "sub/ü b.xml": "B", "c.xml": "not named"})
	for _, place := range []string{dir, filepath.Join(dir, "index.txt")} {
		w, err := Index(t.Context(), &Options{Source: "sh", Place: place})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, content(t, w.Files)); d != "" || !w.Full || w.Version == "" {
			t.Errorf("%+v: %s", w, d)
		}
		again, err := Index(t.Context(), &Options{Source: "sh", Place: place})
		if err != nil || again.Version != w.Version {
			t.Errorf("%+v, %v", again, err)
		}
	}
	before, err := Index(t.Context(), &Options{Place: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.xml"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := Index(t.Context(), &Options{Place: dir}); err != nil || after.Version == before.Version {
		t.Errorf("another file is the same delivery: %v", err)
	}
}

func TestIndexesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		index string
		want  source.Cause
	}{
		"empty":             {"", source.CauseEmpty},
		"only ends of line": {"\r\n \r\n", source.CauseEmpty},
		"a way out":         {"../secret.xml", source.CauseSchema},
		"a way out below":   {"a/../../secret.xml", source.CauseSchema},
		"not in one form":   {"a/./b.xml", source.CauseSchema},
		"absolute":          {"/etc/passwd", source.CauseSchema},
		"another system's":  {`..\secret.xml`, source.CauseSchema},
		"an address":        {"https://other.example/a.xml", source.CauseSchema},
		"a query":           {"a.xml?x", source.CauseSchema},
		"coded":             {"%2e%2e/a.xml", source.CauseSchema},
		"the folder":        {".", source.CauseSchema},
		"no text":           {"a\xff.xml", source.CauseSchema},
		"too long a name":   {strings.Repeat("x", 501), source.CauseSchema},
		"too long a line":   {strings.Repeat("x", 70_000), source.CauseSchema},
		"too many names":    {manyNames(), source.CauseOversized},
		"too many bytes":    {strings.Repeat("a.xml\n", maxIndex/6+1), source.CauseOversized},
		"what is not there": {"b.xml", source.CauseUnreachable},
		"a folder":          {"sub", source.CauseUnreachable},
		"a link out":        {"link.xml", source.CauseUnreachable},
	} {
		dir := folder(t, map[string]string{"d/index.txt": c.index, "d/a.xml": "A", "d/sub/x.xml": "X", "secret.xml": "S"})
		if err := os.Symlink("../secret.xml", filepath.Join(dir, "d", "link.xml")); err != nil {
			t.Fatal(err)
		}
		if w, err := Index(t.Context(), &Options{Source: "sh", Place: filepath.Join(dir, "d")}); causeOf(err) != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, w, err, c.want)
		}
	}
	if _, err := Index(t.Context(), &Options{Place: t.TempDir()}); causeOf(err) != source.CauseUnreachable {
		t.Errorf("no index: %v", err)
	}
}

func manyNames() string {
	var b strings.Builder
	for i := range maxNames + 1 {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// publisher is a web server with files, which can fall ill. Its fields are guarded by mu.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string]string
	tags   bool
	ill    map[string]http.HandlerFunc
	asked  []string
	tokens int    // given out
	valid  string // the token
	secret string // that is right
}

func publish(t *testing.T, files map[string]string) *publisher {
	t.Helper()
	p := &publisher{files: files, tags: true, ill: map[string]http.HandlerFunc{}, secret: secret}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL.RequestURI())
	if h := p.ill[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	text, ok := p.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if p.tags {
		w.Header().Set("ETag", fmt.Sprintf(`"%d-%.10s"`, len(text), text))
	}
	w.Header().Set("Content-Type", "text/plain")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

func (p *publisher) becomes(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// requests are what was asked since the last call.
func (p *publisher) requests() (out []string) {
	p.becomes(func() { out, p.asked = p.asked, nil })
	return out
}

func (p *publisher) options(t *testing.T, path string) *Options {
	t.Helper()
	return &Options{Source: "sh", Place: p.URL + path, Dir: t.TempDir(), Client: client(t, patient)}
}

// patient is how long a server may stall that is well: a busy machine must not make it ill.
const patient = 20 * time.Second

// client gives a server up that stalls for so long.
func client(t *testing.T, stall time.Duration) *http.Client {
	t.Helper()
	c := fetch.Client(fetch.Policy{HTTP: true, Stall: stall})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// patience is how long a server may stall of whom a refusal with this cause is wanted.
func patience(want source.Cause) time.Duration {
	if want == source.CauseTimeout {
		return 300 * time.Millisecond
	}
	return patient
}

func TestAWebServerIsADelivery(t *testing.T) {
	t.Parallel()
	p := publish(t, map[string]string{"/x/index.txt": "a.xml\r\nsub/ü b.xml\r\n", "/x/a.xml": "A", "/x/sub/ü b.xml": "B"})
	o := p.options(t, "/x/index.txt?key=secret")
	w, err := Index(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"a.xml": "A", "sub/ü b.xml": "B"}, content(t, w.Files)); d != "" || w.Version == "" {
		t.Errorf("%+v: %s", w, d)
	}
	if got := p.requests(); len(got) != 3 || got[0] != "/x/index.txt?key=secret" || got[1] != "/x/a.xml" || got[2] != "/x/sub/%C3%BC%20b.xml" {
		t.Errorf("asked %q", got)
	}
	// What is as it was does not come again.
	again, err := Index(t.Context(), o)
	if err != nil || again.Version != w.Version {
		t.Errorf("%+v, %v", again, err)
	}
	if d := cmp.Diff(map[string]string{"a.xml": "A", "sub/ü b.xml": "B"}, content(t, again.Files)); d != "" {
		t.Error(d)
	}
	p.becomes(func() { p.files["/x/index.txt"], p.files["/x/a.xml"] = "a.xml\n", "other" })
	after, err := Index(t.Context(), o)
	if err != nil || after.Version == w.Version {
		t.Errorf("%+v, %v", after, err)
	}
	if d := cmp.Diff(map[string]string{"a.xml": "other"}, content(t, after.Files)); d != "" {
		t.Error(d)
	}
	if left, err := filepath.Glob(filepath.Join(o.Dir, "file-*")); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	p.becomes(func() { p.tags = false })
	if w, err := Index(t.Context(), o); err != nil || w.Version != "" {
		t.Errorf("a server that says nothing of its files: %+v, %v", w, err)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// breaksOff says a length and gives less.
func breaksOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte("half"))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// drips gives a byte now and then.
func drips(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100000")
	for range 200 {
		if _, err := w.Write([]byte("x")); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestServersThatAreIll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   string
		ill  http.HandlerFunc
		want source.Cause
	}{
		"an empty index":       {"/index.txt", status(200), source.CauseEmpty},
		"a page for people":    {"/index.txt", status(200, "Content-Type", "text/html"), source.CauseSchema},
		"a file that is cut":   {"/b.xml", breaksOff, source.CauseTruncated},
		"a file that is gone":  {"/b.xml", status(404), source.CauseUnreachable},
		"too many questions":   {"/b.xml", status(429, "Retry-After", "7"), source.CauseRateLimited},
		"no permission":        {"/b.xml", status(401), source.CauseUnreachable},
		"another address":      {"/b.xml", status(302, "Location", "http://192.0.2.1/b.xml"), source.CauseURLPolicy},
		"drop by drop":         {"/b.xml", drips, source.CauseTimeout},
		"a file that is empty": {"/b.xml", status(200), source.CauseEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, map[string]string{"/index.txt": "a.xml\r\nb.xml\r\n", "/a.xml": "A", "/b.xml": "B"})
			p.becomes(func() { p.ill[c.at] = c.ill })
			o := p.options(t, "/index.txt")
			o.Client = client(t, patience(c.want))
			w, err := Index(t.Context(), o)
			if causeOf(err) != c.want {
				t.Errorf("%+v, %v; want %s", w, err, c.want)
			}
			var r *source.Refusal
			if errors.As(err, &r) && c.want == source.CauseRateLimited && r.RetryAfter != 7*time.Second {
				t.Errorf("again after %v", r.RetryAfter)
			}
			p.becomes(func() { delete(p.ill, c.at) })
			o.Client = client(t, patient)
			if w, err = Index(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(map[string]string{"a.xml": "A", "b.xml": "B"}, content(t, w.Files)); d != "" {
				t.Errorf("when it is well again: %s", d)
			}
		})
	}
}

func page(objects string, complete bool, index int, next string) string {
	text, err := json.Marshal(map[string]any{"xzufiObjekte": objects, "vollstaendig": complete, "naechsterIndex": index, "naechsteAnfrageUrl": next})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestChangesComePageByPage(t *testing.T) {
	t.Parallel()
	p := publish(t, nil)
	p.files = map[string]string{"/v3": page("<a/>", false, 7, p.URL+"/v3/7"), "/v3/7": page("<b/>", false, 9, "/v3/9"), "/v3/9": page("", true, 9, "")}
	o := p.options(t, "/v3")
	at := objects.Cursor{}
	var got []string
	for complete := false; !complete; {
		d, done, err := Changes(t.Context(), o, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range content(t, d.Files) {
			got = append(got, text)
		}
		if d.Full {
			t.Error("a page says to be all")
		}
		at, complete = d.Cursor, done
	}
	if want := (objects.Cursor{Of: p.URL + "/v3", Index: 9, URL: p.URL + "/v3/9"}); at != want || !slices.Equal(got, []string{"<a/>", "<b/>"}) {
		t.Errorf("%+v, %q", at, got)
	}
	// The next question is where the last one ended.
	p.requests()
	if _, done, err := Changes(t.Context(), o, at); err != nil || !done || !slices.Equal(p.requests(), []string{"/v3/9"}) {
		t.Errorf("%v", err)
	}
}

// A service whose version in the path is another one is asked from the beginning: the places of the old one will be switched
// off.
func TestAnotherStreamHasOtherPlaces(t *testing.T) {
	t.Parallel()
	p := publish(t, nil)
	p.files = map[string]string{"/v3": page("<a/>", true, 7, "/v3/7"), "/v4": page("<b/>", true, 1, "/v4/1")}
	o := p.options(t, "/v3")
	d, _, err := Changes(t.Context(), o, objects.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	p.requests()
	o.Place = p.URL + "/v4"
	if d, _, err = Changes(t.Context(), o, d.Cursor); err != nil || !slices.Equal(p.requests(), []string{"/v4"}) || d.Cursor.URL != p.URL+"/v4/1" {
		t.Errorf("%+v, %v", d, err)
	}
}

// A delivery may be of very many files: what is noted of one does not grow with the others.
func TestManyFilesAreNotedOneByOne(t *testing.T) {
	t.Parallel()
	published := map[string]string{}
	index := ""
	for n := range 100 {
		name := fmt.Sprintf("%d.xml", n)
		index += name + "\r\n"
		published["/"+name] = name
	}
	published["/index.txt"] = index
	p := publish(t, published)
	o := p.options(t, "/index.txt")
	if _, err := Index(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(o.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if st, err := d.Info(); err != nil || st.Size() > int64(len(index)) {
			t.Errorf("%s has %d bytes: %v", path, st.Size(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPagesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want source.Cause
	}{
		"no envelope":       {"<xml/>", source.CauseSchema},
		"a list":            {"[]", source.CauseSchema},
		"no word of more":   {`{"xzufiObjekte":"<a/>","naechsterIndex":1}`, source.CauseSchema},
		"broken off":        {page("<a/>", true, 1, "/v3")[:20], source.CauseTruncated},
		"two":               {page("<a/>", true, 1, "/v3") + "{}", source.CauseSchema},
		"round in circles":  {page("<a/>", false, 1, "/v3"), source.CauseSchema},
		"another host":      {page("<a/>", false, 1, "http://192.0.2.1/v3/2"), source.CauseURLPolicy},
		"another scheme":    {page("<a/>", false, 1, "file:///etc/passwd"), source.CauseURLPolicy},
		"another port":      {page("<a/>", true, 1, "http://127.0.0.1:1/v3/2"), source.CauseURLPolicy},
		"somebody's name":   {page("<a/>", true, 1, "http://a:b@127.0.0.1/"), source.CauseURLPolicy},
		"no address at all": {page("<a/>", true, 1, "http://%zz/"), source.CauseURLPolicy},
		"too much":          {strings.Repeat(" ", MaxPage+1), source.CauseOversized},
	} {
		p := publish(t, map[string]string{"/v3": c.text})
		if _, _, err := Changes(t.Context(), p.options(t, "/v3"), objects.Cursor{}); causeOf(err) != c.want {
			t.Errorf("%s: %.300v; want %s", name, err, c.want)
		}
	}
	p := publish(t, nil)
	o := p.options(t, "/v3")
	if _, _, err := Changes(t.Context(), o, objects.Cursor{Of: o.Place, URL: "http://192.0.2.1/v3"}); causeOf(err) != source.CauseURLPolicy {
		t.Errorf("a cursor of another service: %v", err)
	}
}

const secret = "s3cret-of-the-client"

// withToken makes a publisher want tokens, and gives a client that gets them.
func (p *publisher) withToken(t *testing.T, o *Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ill["/token"] = func(w http.ResponseWriter, r *http.Request) {
		id, given, ok := r.BasicAuth()
		if !ok {
			id, given = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("grant_type") != "client_credentials" || id != "pvgate" || given != p.secret {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"not %s"}`, given)
			return
		}
		p.tokens++
		p.valid = fmt.Sprintf("token-%d", p.tokens)
		_, _ = fmt.Fprintf(w, `{"access_token":"%s","token_type":"Bearer","expires_in":3600}`, p.valid)
	}
	token := &Token{URL: p.URL + "/token", Client: "pvgate", SecretFile: file}
	o.Client = token.Authorised(o.Client)
}

// wants answers 401 to who has not the token of now.
func (p *publisher) wants(path string) {
	p.ill[path] = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+p.valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.files[path]))
	}
}

func TestARequestCarriesAToken(t *testing.T) {
	t.Parallel()
	p := publish(t, map[string]string{"/v3": page("<a/>", false, 1, "/v3/2"), "/v3/2": page("", true, 2, "/v3/3")})
	o := p.options(t, "/v3")
	p.withToken(t, o)
	p.wants("/v3")
	p.wants("/v3/2")
	d, _, err := Changes(t.Context(), o, objects.Cursor{})
	if err != nil || p.tokens != 1 {
		t.Fatalf("%v after %d tokens", err, p.tokens)
	}
	// In the middle of the run the token is good no more.
	p.becomes(func() { p.valid = "another" })
	if _, done, err := Changes(t.Context(), o, d.Cursor); err != nil || !done || p.tokens != 2 {
		t.Errorf("%v after %d tokens", err, p.tokens)
	}
}

func TestNoTokenNoPage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(p *publisher)
		want   source.Cause
	}{
		"a wrong secret": {func(p *publisher) { p.secret = "another" }, source.CauseUnreachable},
		"nonsense":       {func(p *publisher) { p.ill["/token"] = status(200, "Content-Type", "application/json") }, source.CauseUnreachable},
		"no service":     {func(p *publisher) { p.ill["/token"] = status(503) }, source.CauseUnreachable},
		"elsewhere":      {func(p *publisher) { p.ill["/token"] = status(307, "Location", "http://192.0.2.1/token") }, source.CauseURLPolicy},
		"silence": {func(p *publisher) {
			p.ill["/token"] = func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done() // until the client gives up
			}
		}, source.CauseTimeout},
		"a token that is no good": {func(p *publisher) { p.ill["/v3"] = status(401) }, source.CauseUnreachable},
	} {
		p := publish(t, map[string]string{"/v3": page("<a/>", true, 1, "")})
		o := p.options(t, "/v3")
		o.Client = client(t, patience(c.want))
		p.withToken(t, o)
		p.wants("/v3")
		c.change(p)
		_, _, err := Changes(t.Context(), o, objects.Cursor{})
		if causeOf(err) != c.want {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is told: %v", name, err)
		}
		if n := len(p.requests()); n > 5 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}
