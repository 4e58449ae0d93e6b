// SPDX-License-Identifier: EUPL-1.2

package peers_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/peers"
)

func setting(dir string) peers.Setting {
	return peers.Setting{
		Dir: dir, Origin: netip.MustParseAddrPort("127.0.0.1:9000"), Plain: netip.MustParseAddrPort("127.0.0.1:10000"), TLS: netip.MustParseAddrPort("127.0.0.1:10001"),
		Features: netip.MustParseAddrPort("127.0.0.1:10002"), Admin: netip.MustParseAddrPort("127.0.0.1:9180"), Rows: 500,
	}
}

func small(t *testing.T) *entries.Set {
	t.Helper()
	s, err := entries.New(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNginxConfigIsFilledIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, err := peers.Nginx(setting(dir), []entries.Pair{{Leistung: "99100001012000", Area: "065340014014"}})
	if err != nil {
		t.Fatal(err)
	}
	conf := read(t, path)
	for _, want := range []string{"listen 127.0.0.1:10000 ", "listen 127.0.0.1:10001 ssl http2 ", "listen 127.0.0.1:10002 ", "server 127.0.0.1:9000;", "include " + dir + "/map.inc;"} {
		if !strings.Contains(conf, want) {
			t.Errorf("nginx.conf lacks %q", want)
		}
	}
	if body := conf[strings.Index(conf, "daemon off"):]; strings.Contains(body, "[[") {
		t.Error("nginx.conf has an unfilled place")
	}
	if got := read(t, filepath.Join(dir, "map.inc")); got != "99100001012000065340014014 origin;\n" {
		t.Errorf("map: got %q", got)
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Log("no nginx here: its own check of the config is skipped")
		return
	}
	if out, err := exec.Command(nginx, "-t", "-c", path, "-p", dir).CombinedOutput(); err != nil {
		t.Errorf("nginx refuses the config: %v\n%s", err, out)
	}
}

func TestPvgateConfigIsFilledIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, err := peers.Pvgate(setting(dir), small(t))
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Domain string
		Loops  int
		Listen []struct {
			Address string
			Hosts   []string
			TLS     struct{ Cert, Key string }
		}
		Admin   struct{ Address string }
		Sources []struct{ Name, Type, Path, Separator string }
	}
	if err := yaml.Unmarshal([]byte(read(t, path)), &root); err != nil {
		t.Fatal(err)
	}
	if root.Loops != 1 || root.Listen[0].Address != "127.0.0.1:10000" || root.Listen[1].Address != "127.0.0.1:10001" || root.Listen[1].TLS.Cert != "cert.pem" || root.Admin.Address != "127.0.0.1:9180" ||
		root.Domain != peers.EntryHost || !strings.HasSuffix(peers.BackendHost, "."+root.Domain) || root.Sources[0].Path != "entries.csv" {
		t.Errorf("got %+v", root)
	}
	var routes struct {
		Area     string
		Backends map[string]struct {
			Mode             string
			Hosts, Endpoints []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(dir, "routes.d", "00-bench.yaml"))), &routes); err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(peers.BackendHost, ".")
	b, ok := routes.Backends[name]
	if !ok || b.Hosts[0] != entries.Answering || b.Endpoints[0] != "http://127.0.0.1:9000" {
		t.Errorf("got %+v", routes)
	}
	if rows := strings.Count(read(t, filepath.Join(dir, "entries.csv")), "\n"); rows != 501 {
		t.Errorf("got %d lines of entries, want 501", rows)
	}
}

func TestFoldersThatNeedQuotingAreRefused(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"relative", "/a b", "/a;b", "/a{b", "/a'b"} {
		if _, err := peers.Nginx(setting(dir), nil); err == nil {
			t.Errorf("%q: got no error", dir)
		}
		if _, err := peers.Pvgate(setting(dir), small(t)); err == nil {
			t.Errorf("%q: got no error", dir)
		}
	}
}
