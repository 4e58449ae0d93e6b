// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// A browser is led through the demo to a portal over HTTP/2, and over HTTP/3.
func TestDemoInABrowserOverHTTP2AndHTTP3(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	at := regexp.MustCompile(`by TLS at +https://(\S+:([0-9]+))/, its CA is (\S+)`).FindStringSubmatch(strings.Join(d.lines, "\n"))
	if at == nil {
		t.Fatalf("the demo does not say where it answers by TLS:\n%s", strings.Join(d.lines, "\n"))
	}
	entry, port, dir := at[1], at[2], filepath.Dir(at[3])
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, demoCertificate), filepath.Join(dir, demoKey))
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	trust := "--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(key[:])
	portal := net.JoinHostPort("bund."+demoDomain, port)
	for protocol, arg := range map[string]string{"h2": "--disable-quic", "h3": "--origin-to-force-quic-on=" + entry + "," + portal} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			shown := startDevTools(t, trust, arg).show(t, "https://"+entry+"/leistung/99041008017000/-")
			if !strings.HasPrefix(shown.At, "https://"+portal+"/") || !strings.HasPrefix(shown.Text, "Bund\n") {
				t.Errorf("the browser is at %s and shows\n%s", shown.At, shown.Text)
			}
			if shown.Protocol != protocol {
				t.Errorf("the page came by %q, want %q", shown.Protocol, protocol)
			}
		})
	}
}

// A port that somebody else has over UDP is no port for the demo, which speaks HTTP/3.
func TestDemoAvoidsATakenUDPPort(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", certstest.Ports(t, 1)[0])
	taken, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d := startDemo(t, "--tls", address)
	if want := address + " is taken; pvgate takes a free port instead of it"; d.lines[0] != want {
		t.Errorf("the demo says %q, want %q", d.lines[0], want)
	}
}

// devTools is a browser that is asked over its pipe (Chrome DevTools Protocol: JSON, each message ended by a NUL).
type devTools struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
	id  int
}

func startDevTools(t *testing.T, args ...string) *devTools {
	t.Helper()
	cmd := chromium(t, append(args, "--remote-debugging-pipe")...)
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	err = errors.Join(cmd.Start(), theirIn.Close(), theirOut.Close())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait() // killed
		_, _ = in.Close(), out.Close()
	})
	return &devTools{cmd: cmd, in: in, out: bufio.NewReader(out)}
}

// call asks for something and reads the result. Not ok is what the browser could not do.
func (d *devTools) call(t *testing.T, session, method string, params map[string]any, result any) (ok bool) {
	t.Helper()
	d.id++
	message := map[string]any{"id": d.id, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	text, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.in.Write(append(text, 0)); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	for {
		text, err := d.out.ReadBytes(0)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(text[:len(text)-1], &answer); err != nil {
			t.Fatalf("%s: %v in %s", method, err, text)
		}
		if answer.ID == d.id { // all else are events
			return answer.Result != nil && json.Unmarshal(answer.Result, result) == nil
		}
	}
}

// shownPage is a page as it stands in a browser.
type shownPage struct {
	At       string `json:"at"`
	Ready    bool   `json:"ready"`
	Protocol string `json:"protocol"` // by ALPN
	Text     string `json:"text"`
}

// show opens an address and returns the page when it is loaded.
func (d *devTools) show(t *testing.T, address string) (p shownPage) {
	t.Helper()
	var tab struct {
		ID      string `json:"targetId"`
		Session string `json:"sessionId"`
	}
	if !d.call(t, "", "Target.createTarget", map[string]any{"url": address}, &tab) ||
		!d.call(t, "", "Target.attachToTarget", map[string]any{"targetId": tab.ID, "flatten": true}, &tab) {
		t.Fatalf("%s opens no page", d.cmd.Path)
	}
	for end := time.Now().Add(browserTime / 2); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var got struct {
			Result struct {
				Value shownPage `json:"value"`
			} `json:"result"`
		}
		if d.call(t, tab.Session, "Runtime.evaluate", map[string]any{"returnByValue": true, "expression": `({at: location.href, ready: document.readyState === 'complete',
			protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol, text: document.body.innerText})`}, &got) {
			p = got.Result.Value
		}
		if p.Ready && p.At != "about:blank" {
			return p
		}
	}
	t.Fatalf("no page of %s is loaded: %+v", address, p)
	return p
}
