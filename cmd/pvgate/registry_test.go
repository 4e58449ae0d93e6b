// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/registrytest"
)

// writeBundle makes a bundle with one source of three services in Hessen and one in the Bund.
func writeBundle(t *testing.T, file string, sequence uint64) {
	t.Helper()
	s := bundle.SourceFacts{Name: "hub", Rows: 5, Services: 4, Quarantined: 1, UnknownArea: 1}
	s.Lands[0].Services, s.Lands[6].Services = 1, 3
	m := &bundle.Meta{Sequence: sequence, Created: time.Now().UTC().Truncate(time.Second), Areas: "none", Sources: []bundle.SourceFacts{s}}
	var out bytes.Buffer
	if _, err := bundle.Write(&out, m, []bundle.Section{{Tag: "rows", Data: make([]byte, 100_000)}}); err != nil {
		t.Fatal(err)
	}
	replaced := file + ".new"
	if err := os.WriteFile(replaced, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(replaced, file); err != nil {
		t.Fatal(err)
	}
}

// pvgateVerb runs a verb in this process.
func pvgateVerb(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, complaints bytes.Buffer
	code = run(t.Context(), args, &out, &complaints)
	return out.String(), complaints.String(), code
}

func TestBundlesAreSignedAndVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, old, young, keys := filepath.Join(dir, "x.pvb"), filepath.Join(dir, "old.pem"), filepath.Join(dir, "new.pem"), filepath.Join(dir, "keys")
	writeBundle(t, file, 7)
	var lines strings.Builder
	for _, key := range []string{old, young} {
		line, complaint, code := pvgateVerb(t, "registry", "keygen", key)
		if code != exitOK {
			t.Fatal(complaint)
		}
		lines.WriteString(strings.TrimSpace(line))
		if key == old {
			lines.WriteString(" until 2020-12-31")
		}
		lines.WriteString("\n")
	}
	if err := os.WriteFile(keys, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(old); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("a private key: %v, %v", st.Mode(), err)
	}
	if _, complaint, code := pvgateVerb(t, "registry", "keygen", old); code != exitFailed || !strings.Contains(complaint, "exists") {
		t.Errorf("a key over a key: %d %s", code, complaint)
	}
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"verify", file}, exitOK, "not signed"},
		{[]string{"verify", file, "--keys", keys}, exitCheck, "signature: " + file + ": it bears no signature"},
		{[]string{"sign", file}, exitUsage, "no key"},
		{[]string{"sign", file, "--key", old}, exitOK, "signed by the key"},
		{[]string{"verify", file}, exitOK, "signed by the key"},
		{[]string{"verify", file, "--keys", keys}, exitCheck, `key "old": the key is trusted no more, since 2021-01-01 00:00:00`},
		{[]string{"sign", file, "--key", old, "--key", young}, exitOK, "signed by the key"},
		{[]string{"verify", file, "--keys", keys}, exitOK, "which counts"},
		{[]string{"verify", file, "--keys", keys, "-o", "json"}, exitOK, `"trusted": "new"`},
		{[]string{"verify", file, "--keys", file}, exitFailed, "larger than any key file"},
		{[]string{"verify", keys}, exitCheck, "schema: " + keys + ": no bundle"},
		{[]string{"verify", dir}, exitFailed, "no regular file"},
		{[]string{"sign", keys, "--key", old}, exitCheck, "schema: "},
		{[]string{"stats", keys}, exitCheck, "schema: "},
		{[]string{"serve", filepath.Join(dir, "none")}, exitFailed, "no such file"},
		{[]string{"serve", dir, "--cert", old}, exitUsage, "go together"},
	} {
		out, complaint, code := pvgateVerb(t, append([]string{"registry"}, step.args...)...)
		if code != step.code || !strings.Contains(out+complaint, step.want) {
			t.Errorf("%v: code %d, want %d and %q\n%s%s", step.args, code, step.code, step.want, out, complaint)
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestStatsCountBySourceAndLand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.pvb")
	writeBundle(t, file, 7)
	out, _, code := pvgateVerb(t, "registry", "stats", file, "-o", "json")
	var s bundleStats
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK {
		t.Fatalf("%d, %v: %s", code, err, out)
	}
	if s.Services != 4 || s.Lands[6].Services != 3 || s.Lands[6].Land != "06" || s.Sources[0].UnknownArea != 1 || s.Sections[0].Bytes != 100_000 || s.Age > 60 {
		t.Errorf("%+v", s)
	}
	text, _, code := pvgateVerb(t, "registry", "stats", file)
	if code != exitOK || !strings.Contains(text, "4 services, 0 pages; sequence 7") || !strings.Contains(text, "100000") {
		t.Errorf("%d: %s", code, text)
	}
}

// shelfOf serves a directory or file.
func shelfOf(t *testing.T, path string) *httptest.Server {
	t.Helper()
	s, err := newShelf(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		s.root.Close()
	})
	return server
}

func TestShelfGivesOutGoodBundlesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "x.pvb")
	writeBundle(t, good, 7)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.pvb"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.pvb")); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"text.txt": data, "csv.pvb": []byte("leistung;area;url\n"), "cut.pvb": data[:len(data)-1], "damaged.pvb": registrytest.Poisons()[0].Damage(data)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, client := shelfOf(t, dir), ownClient(t)
	for path, want := range map[string]int{
		"/x.pvb": 200, "/": 404, "/none.pvb": 404, "/text.txt": 404, "/csv.pvb": 404, "/cut.pvb": 404, "/damaged.pvb": 404,
		"/pipe.pvb": 404, "/link.pvb": 404, "/../x.pvb": 404, "/%2e%2e%2fx.pvb": 404, "/a/x.pvb": 404, "/.pvb": 404,
	} {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || err != nil || want == 200 && !bytes.Equal(body, data) {
			t.Errorf("%s: %d, %d bytes, %v; want %d", path, resp.StatusCode, len(body), err, want)
		}
		if want == 200 && resp.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	resp, err := client.Post(server.URL+"/x.pvb", "text/plain", nil)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v, %v", resp, err)
	}
	resp.Body.Close()
	one := shelfOf(t, good)
	for path, want := range map[string]int{"/x.pvb": 200, "/csv.pvb": 404, "/y.pvb": 404} {
		resp, err := client.Head(one.URL + path)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
		resp.Body.Close()
	}
}

// What the shelf gives out is what fetch brings: whole, not at all when it is the same, and anew when it is not.
func TestShelfAndFetchUnderstandEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "x.pvb")
	writeBundle(t, file, 1)
	server := shelfOf(t, dir)
	client := fetch.Client(fetch.Policy{HTTP: true})
	defer client.CloseIdleConnections()
	f := fetch.File{Source: "s", Place: server.URL + "/x.pvb", Dir: t.TempDir(), MaxSize: 1 << 20, Client: client}
	var have fetch.Version
	for n := uint64(1); n <= 3; n++ {
		writeBundle(t, file, n)
		g, err := fetch.Get(t.Context(), f, have)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bundle.ReadFile(g.Path, 0)
		if err != nil || b.Meta.Sequence != n {
			t.Fatalf("%+v, %v; want sequence %d", b, err, n)
		}
		have = g.Version
		if g, err = fetch.Get(t.Context(), f, have); err != nil || g.Path != "" {
			t.Errorf("unchanged: %+v, %v", g, err)
		}
	}
	if _, complaint, code := pvgateVerb(t, "registry", "keygen", filepath.Join(dir, "k")); code != exitOK {
		t.Fatal(complaint)
	}
	if _, complaint, code := pvgateVerb(t, "registry", "sign", file, "--key", filepath.Join(dir, "k")); code != exitOK {
		t.Fatal(complaint)
	}
	if g, err := fetch.Get(t.Context(), f, have); err != nil || g.Path == "" {
		t.Errorf("a new signature is another file: %+v, %v", g, err)
	}
}

func TestShelfEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, err := newShelf(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.root.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, l) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
}
