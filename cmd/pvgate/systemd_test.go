// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is what systemd is to a service: who passes it sockets and hears how it is.
type manager struct {
	t    *testing.T
	told chan string
}

func newManager(t *testing.T) (m *manager, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m = &manager{t, make(chan string, 1000)}
	go func() { // at once, as systemd does: the kernel keeps ten
		b := make([]byte, 4096)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			m.told <- string(b[:n])
		}
	}()
	return m, socket
}

// hears waits for something to be told and returns what the pattern's group matches.
func (m *manager) hears(pattern string) string {
	m.t.Helper()
	p := regexp.MustCompile(pattern)
	late := time.After(patience)
	var heard []string
	for {
		select {
		case text := <-m.told:
			if match := p.FindStringSubmatch(text); match != nil {
				return append(match, "")[1]
			}
			heard = append(heard, text)
		case <-late:
			m.t.Fatalf("nothing more; want %q, heard %q", pattern, heard)
		}
	}
}

func TestSystemdPassesSocketsAndHearsHowTheServiceIs(t *testing.T) {
	t.Parallel()
	m, socket := newManager(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	dir := t.TempDir()
	text := fmt.Sprintf("listen: [{address: %q, hosts: any}]\nadmin: {address: \"127.0.0.1:0\"}\n", address)
	if err := os.WriteFile(filepath.Join(dir, defaultConfig), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(f *os.File) *process {
		p, err := startProcessWith(dir, []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=400000", "LISTEN_FDS=1", "LISTEN_FDNAMES=web"}, []*os.File{f},
			"sh", "-c", "LISTEN_PID=$$ exec pvgate serve") // as systemd names the process
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.kill() })
		return p
	}
	p := serve(f)
	f.Close()
	ln.Close() // systemd would keep it
	m.hears("^READY=1\nSTATUS=serves snapshot ")
	m.hears("^WATCHDOG=1$")
	client := ownClient(t)
	asked := func() {
		t.Helper()
		res, err := client.Get("http://" + address + "/_pv/health")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	asked()
	if err := p.signal("HUP"); err != nil {
		t.Fatal(err)
	}
	m.hears("^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
	m.hears("^READY=1\n")
	admin, err := p.await(regexp.MustCompile(`admin on http://(\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	if out, code := shell(t, dir, "pvgate upgrade --admin "+admin[1]); code != 0 {
		t.Fatal(out)
	}
	pid, err := strconv.Atoi(m.hears("^MAINPID=([0-9]+)$"))
	if err != nil {
		t.Fatal(err)
	}
	m.hears("^WATCHDOG=1$")
	asked()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.hears("^STOPPING=1\n")
	if code, err := p.wait(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}

	// A socket that nobody wants would collect clients for ever.
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if f, err = other.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p = serve(f)
	code, err := p.wait()
	want := fmt.Sprintf("no listener has the address of web (TCP %s); add one, or take it out of pvgate.socket", other.Addr())
	if code != 1 || err != nil || !strings.Contains(p.output(), want) {
		t.Errorf("exit code %d, %v, want 1 and %q:\n%s", code, err, want, p.output())
	}
}

// The units are by systemd's own book, with the program where it is on a machine that has it.
func TestUnitsAreGoodUnits(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"pvgate.service", "pvgate.socket"} {
		text, err := os.ReadFile(filepath.Join(repository, "deploy/systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, name))
		if err := os.WriteFile(units[len(units)-1], []byte(strings.ReplaceAll(string(text), "/usr/bin/pvgate", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// Exposure in tenths, of 100.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=20", units[0]).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
