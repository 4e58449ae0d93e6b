// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/dns"
)

// A name without an answer costs its endpoint and not the configuration, and so does one that leads where it must not.
func TestNamesOfEndpointsAreWarnedOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pvgate.yaml": "listen: [{address: \"127.0.0.1:0\"}]\n",
		"06.yaml": `area: "06"
backends:
  absent:   {mode: proxy, endpoints: ["http://absent.example:81", "http://10.0.0.1"]}
  private:  {mode: proxy, endpoints: ["http://private.example"]}
  local:    {mode: proxy, endpoints: ["http://local.example"], allow: [private]}
  metadata: {mode: proxy, endpoints: ["http://metadata.example"], allow: [private, loopback]}
  fine:     {mode: proxy, endpoints: ["http://public.example", "http://private.example:8080", "http://localhost:1"], allow: [private]}
`,
	} {
		if name != "pvgate.yaml" {
			name = filepath.Join("routes.d", name)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "pvgate.yaml"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kept := &books{names: dns.New(dns.Options{Lookup: func(_ context.Context, host string) (dns.Answer, error) {
		a, ok := map[string]string{
			"private.example": "10.0.0.1", "local.example": "127.0.0.1", "metadata.example": "169.254.169.254", "public.example": "20.0.0.1", "localhost": "127.0.0.1",
		}[host]
		if !ok {
			return dns.Answer{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return dns.Answer{Addresses: []netip.Addr{netip.MustParseAddr(a)}, TTL: time.Minute}, nil
	}})}
	defer kept.names.Close()
	l, err := buildLive(t.Context(), cfg, kept, own{registry: onlooker(), keys: randomKeys().context()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings(l.routes.warnings.Sorted()) {
		got = append(got, strings.TrimPrefix(f.Place, dir+"/")+": "+f.Text)
	}
	want := []string{
		`routes.d/06.yaml:3:39: endpoint "http://absent.example:81": lookup absent.example: no such host; it is out of service until the name resolves`,
		`routes.d/06.yaml:4:39: endpoint "http://private.example" leads to 10.0.0.1, which is a private address and refused; if that is meant, write allow: [private] at the backend`,
		`routes.d/06.yaml:5:39: endpoint "http://local.example" leads to 127.0.0.1, which is a loopback address and refused; if that is meant, write allow: [loopback] at the backend`,
		`routes.d/06.yaml:6:39: endpoint "http://metadata.example" leads to 169.254.169.254, which is a link-local address and refused; if that is meant, to write an address down is leave enough`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
