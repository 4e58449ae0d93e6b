// SPDX-License-Identifier: EUPL-1.2

package certstest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// CA is a running pebble, Let's Encrypt's small ACME server for tests.
type CA struct {
	Directory   string // URL
	Authorities string // PEM file for the directory's own server
}

// Ports returns n ports of 127.0.0.1 that are free now, from below those that the kernel gives to connections and to
// listeners that do not care: nobody gets one of them by chance before it is used.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	const first, last = 10_000, 30_000
	var ports []int
	for range 100 * n {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first+rand.IntN(last-first)))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// Pebble runs a CA that finds every name at 127.0.0.1, the ports of http-01 and tls-alpn-01 given, until the test ends.
// The test is skipped where pebble is not installed; make test installs it.
func Pebble(t testing.TB, httpPort, tlsPort int) *CA {
	t.Helper()
	for _, command := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skipf("%v; .ci/need pebble installs it", err)
		}
	}
	for range 5 { // a port that was free may be somebody's by the time pebble wants it
		if ca := tryPebble(t, httpPort, tlsPort); ca != nil {
			return ca
		}
	}
	t.Fatal("pebble does not start")
	return nil
}

// tryPebble returns nil when one of the two programs ends.
func tryPebble(t testing.TB, httpPort, tlsPort int) *CA {
	t.Helper()
	dir, ports := t.TempDir(), Ports(t, 4)
	root := NewAuthority(t, "pebble's own server")
	cert, key := root.Issue(t, Leaf{Hosts: []string{"127.0.0.1"}}).Write(t, dir, "server")
	ca := &CA{Directory: fmt.Sprintf("https://127.0.0.1:%d/dir", ports[0]), Authorities: filepath.Join(dir, "root.pem")}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", ports[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"certificate": cert, "privateKey": key, "httpPort": httpPort, "tlsPort": tlsPort,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{ca.Authorities: root.PEM, filepath.Join(dir, "pebble.json"): config} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := fmt.Sprintf("127.0.0.1:%d", ports[2])
	dns := run(t, "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", names,
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-management", fmt.Sprintf("127.0.0.1:%d", ports[3]))
	server := run(t, "pebble", "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", names)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: root.Pool()}}}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if resp, err := client.Get(ca.Directory); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return ca
		}
		select {
		case <-dns:
			return nil
		case <-server:
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// run runs a command until the test ends; what it returns is closed when the command ends.
func run(t testing.TB, name string, args ...string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, name, args...)
	// No artificial waits, and every fifth nonce refused, which clients have to live with (RFC 8555, section 6.5).
	c.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20", "PEBBLE_AUTHZREUSE=0")
	if err := c.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // killed, or without its port
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return ended
}
