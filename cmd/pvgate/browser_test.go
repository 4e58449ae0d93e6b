// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests of this file ask a real browser, because it is browsers that keep portals apart: two portals behind a
// running gateway, the page of one loads the other in a frame, and what matters is what reaches the portals.

// browserTime bounds one page, with the start of the browser.
const browserTime = 60 * time.Second

// frame is an element that loads the other portal as a citizen would, through its entry address.
func (s *twoPortals) frame() string {
	return fmt.Sprintf("<iframe id=other src=\"%s/leistung/%s/06\"></iframe>", s.base, leistungOfB)
}

// browser shows an address and returns the page as it stands after everything in it has been loaded.
func browser(t *testing.T, address string) string {
	t.Helper()
	cmd := chromium(t, "--ignore-certificate-errors", "--timeout=20000", "--dump-dom", address)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	_ = cmd.Cancel()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, complaints.String())
	}
	return string(out)
}

// chromium is a browser that knows only this machine. Its Cancel ends it with all that it has started.
func chromium(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-headless-shell", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("there is no Chromium here; .ci/need chromium installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserTime)
	t.Cleanup(cancel)
	profile := t.TempDir()
	cmd := exec.CommandContext(ctx, program, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync", "--metrics-recording-only", "--password-store=basic",
		"--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + profile,
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile, "DBUS_SESSION_BUS_ADDRESS=disabled:")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which have to end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// cookieNames are the names of the cookies of a request.
func cookieNames(r *portalRequest) (names []string) {
	for _, c := range r.Cookies() {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// intruders are cookies by which one portal would reach the other, if headers could.
func intruders() []string {
	return []string{
		"host=1", "root=1; Path=/", "wide=1; Path=/; Domain=pvgate.localhost", "dot=1; Path=/; Domain=.pvgate.localhost", "odd=1;Path=/;\tdOmAiN =pvgate.localhost ;",
		"twice=1; Domain=x; Domain=pvgate.localhost; Path=/", "quoted=\"1; Domain=pvgate.localhost\"; Path=/", "toB=1; Path=/_pv/b/b", "toBs=1; Path=/_pv/b/b/; Domain=pvgate.localhost",
		"up=1; Path=/_pv/b/a/../b", "pv=forged; Path=/; Domain=pvgate.localhost", "__Host-pv=forged; Path=/; Secure", "__Secure-pv=forged; Path=/; Secure",
		"=nameless; Path=/; Domain=pvgate.localhost", "=pv=forged; Path=/", "__Host-a=1; Path=/; Secure", "lax=1; Path=/; SameSite=None; Secure; Domain=pvgate.localhost",
		"old=1; Path=/; Max-Age=600; Domain=\"pvgate.localhost\"",
	}
}

// No cookie that an answer of one portal sets reaches the other, in both ways of keeping them apart; and what a browser
// was led to a portal for is known there.
func TestOriginsNoCookieSetByAnAnswerReachesAnotherPortal(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"host", "path"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			s := newTwoPortals(t, isolation)
			s.a.serve(func(w http.ResponseWriter, r *http.Request) {
				for _, c := range intruders() {
					w.Header().Add("Set-Cookie", c)
				}
				if r.URL.Path == "/start" {
					_, _ = io.WriteString(w, "<p>a</p><iframe src=again></iframe><iframe src=\""+s.base+"/leistung\"></iframe>"+s.frame())
				}
			})
			s.b.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>b</p>") })
			if page := browser(t, s.base+"/leistung/"+leistungOfA+"/06"); !strings.Contains(page, "<p>a</p>") {
				t.Fatalf("the browser shows\n%s", page)
			}
			there := s.b.requests("/start")
			if len(there) != 1 {
				t.Fatalf("portal b was asked %d times, want once", len(there))
			}
			if c := there[0].Header.Values("Cookie"); len(c) > 0 {
				t.Errorf("portal b gets the cookies %q", c)
			}
			if got := there[0].Header.Get("PV-Leistung"); got != leistungOfB {
				t.Errorf("portal b is told PV-Leistung %q, want %s: the browser was led there by the entry address", got, leistungOfB)
			}
			again := s.a.requests("/again")
			if len(again) != 1 || again[0].Header.Get("PV-Leistung") != leistungOfA {
				t.Fatalf("portal a was asked again %d times; want once, for %s", len(again), leistungOfA)
			}
			got := cookieNames(again[0])
			for _, own := range []string{"host", "root", "wide", "twice"} {
				if !slices.Contains(got, own) {
					t.Errorf("portal a has lost its own cookie %s: it gets %q", own, got)
				}
			}
			if slices.Contains(got, map[string]string{"host": "__Host-pv", "path": "__Secure-pv"}[isolation]) {
				t.Errorf("portal a gets our cookie: %q", got)
			}
		})
	}
}

// What script can do, as SECURITY.md says: with hosts of their own, portals below one domain can set each other cookies
// but not those of the __Host- prefix, and cannot read each other; below one host they can do both.
func TestOriginsWhatScriptCanDo(t *testing.T) {
	t.Parallel()
	for isolation, want := range map[string]struct {
		script string // of portal a
		reads  string // what it reads of portal b
	}{
		"host": {"document.cookie='tossed=1; Path=/; Domain=pvgate.localhost'", "nothing"},
		"path": {"document.cookie='tossed=1; Path=/_pv/b/b/'", "secret of b"},
	} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			s := newTwoPortals(t, isolation)
			s.a.serve(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `<p id=read>nothing</p><script>%s; document.cookie='__Host-tossed=1; Path=/; Secure; Domain=pvgate.localhost'</script>%s
<script>addEventListener('load', () => { try {
	document.getElementById('read').textContent = document.getElementById('other').contentDocument.querySelector('p').textContent
} catch (e) {} })</script>`, want.script, s.frame())
			})
			s.b.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>secret of b</p>") })
			page := browser(t, s.base+"/leistung/"+leistungOfA+"/06")
			if !strings.Contains(page, `<p id="read">`+want.reads+"</p>") {
				t.Errorf("script of a should read %q of b; the browser shows\n%s", want.reads, page)
			}
			there := s.b.requests("/start")
			if len(there) != 1 || !slices.Equal(cookieNames(there[0]), []string{"tossed"}) {
				t.Errorf("portal b was asked %d times; want once, with the cookie tossed only", len(there))
				for _, r := range there {
					t.Errorf("it got %q", r.Header.Values("Cookie"))
				}
			}
		})
	}
}
