// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// A gateway gets its certificate from a CA, which comes in by the way that is open; a second start has it at once.
func TestACME(t *testing.T) {
	t.Parallel()
	for name, overTLS := range map[string]bool{"tls-alpn-01": true, "http-01": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ports := certstest.Ports(t, 3)
			validated := ports[0]
			if !overTLS {
				validated = ports[2] // where nobody listens
			}
			ca := certstest.Pebble(t, ports[1], validated)
			dir := t.TempDir()
			text := fmt.Sprintf(`domain: gw.example.de
listen:
  - {address: "127.0.0.1:%d", hosts: [gw.example.de, portal.example.de], tls: {acme: true}}
  - {address: "127.0.0.1:%d", hosts: [gw.example.de, portal.example.de], redirect: https}
acme: {directory: %q, ca: %q, cache: state/acme, accept_terms: true, mail: ops@example.de}
admin: {address: "127.0.0.1:0"}
`, ports[0], ports[1], ca.Directory, ca.Authorities)
			if err := os.WriteFile(filepath.Join(dir, "pvgate.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, code := shell(t, dir, "pvgate check"); code != 0 || !strings.Contains(out, "0 errors, 0 warnings") {
				t.Fatalf("check ends with %d:\n%s", code, out)
			}
			serial := ""
			for start := range 2 {
				p, err := startProcess(dir, nil, "pvgate", "serve")
				if err != nil {
					t.Fatal(err)
				}
				defer p.kill()
				for range 2 {
					if _, err := p.await(regexp.MustCompile(`"certificate by ACME","host":"(gw|portal)\.example\.de"`)); err != nil {
						t.Fatal(err)
					}
				}
				c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]), &tls.Config{ServerName: "gw.example.de", InsecureSkipVerify: true})
				if err != nil {
					t.Fatal(err)
				}
				leaf := c.ConnectionState().PeerCertificates[0]
				_ = c.Close()
				if err := leaf.VerifyHostname("gw.example.de"); err != nil || !strings.Contains(leaf.Issuer.CommonName, "Pebble") || time.Now().After(leaf.NotAfter) {
					t.Errorf("the certificate is %v's by %v until %v: %v", leaf.DNSNames, leaf.Issuer, leaf.NotAfter, err)
				}
				if number := leaf.SerialNumber.String(); start == 1 && number != serial {
					t.Error("the second start has another certificate")
				} else {
					serial = number
				}
				if err := p.signal("TERM"); err != nil {
					t.Fatal(err)
				}
				if code, err := p.wait(); err != nil || code != 0 {
					t.Errorf("serve ends with %d, %v:\n%s", code, err, p.output())
				}
			}
		})
	}
}
