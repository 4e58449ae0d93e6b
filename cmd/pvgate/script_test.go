// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pvgate": main, "curl": curlMain})
}

// TestScripts runs testdata/script: whole scenes with a gateway, portals and requests. Beside testscript's own commands
// they have:
//
//	origin NAME [BASE [CA]] start a portal; $NAME is its address. What it answers: see origin.ServeHTTP. With a BASE it
//	                        speaks TLS with what issue has made, and with a CA it wants a certificate of that authority
//	dead NAME               an address where nobody listens, which stays so
//	expand FILE...          fill $VARIABLES in files
//	code N COMMAND...       run a command that must end with exit code N
//	until COMMAND...        run a command again and again until it ends with exit code 0
//	start NAME PATTERN COMMAND...   run a command beside the script, until it prints a line like PATTERN, whose named
//	                        groups become variables
//	await NAME PATTERN      wait for a further line of it
//	signal NAME TERM|HUP    send it a signal
//	finish NAME N           wait until it ends with exit code N; its lines are NAME.out
//	issue CA BASE [HOST...] make BASE.pem and BASE.key, a server's certificate for the hosts, or a client's without any, by
//	                        the authority of that name, whose own certificate becomes CA.pem
//	arrived NAME            wait until the origin holds a request for /hold
//	release NAME            let it answer
//
// Those about look-ups are in script_lookups_test.go.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireUniqueNames: true, RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[sceneKey{}] = &scene{t: t, origins: map[string]*origin{}, processes: map[string]*process{}, services: map[string]*scripted.Service{}, authorities: map[string]*certstest.Authority{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"origin": cmdOrigin, "socket": cmdSocket, "dead": cmdDead, "expand": cmdExpand, "code": cmdCode, "until": cmdUntil, "start": cmdStart, "await": cmdAwait,
			"signal": cmdSignal, "issue": cmdIssue, "finish": cmdFinish, "arrived": cmdArrived, "release": cmdRelease,
			"suchdienst": cmdSuchdienst, "routings": cmdRoutings, "fault": cmdFault, "asked": cmdAsked,
		},
	})
}

type sceneKey struct{}

// scene is what runs beside one script.
type scene struct {
	t           *testing.T
	origins     map[string]*origin
	processes   map[string]*process
	services    map[string]*scripted.Service
	authorities map[string]*certstest.Authority
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// want ends the script unless a command has at least n words and no "!" before it.
func want(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// origin is a portal of a script.
type origin struct {
	server  *httptest.Server
	held    chan struct{} // one for each request that is held
	release chan struct{}
}

// ServeHTTP tells the request back. /hold waits for the script, /slow for the client to give up, /status/N answers N,
// /away/... redirects to the path below it at the Host it was asked for.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has left
	}
	switch {
	case r.URL.Path == "/hold":
		o.held <- struct{}{}
		<-o.release
	case r.URL.Path == "/slow":
		<-r.Context().Done()
		return
	case strings.HasPrefix(r.URL.Path, "/status/"):
		code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
		if err == nil {
			w.WriteHeader(code)
		}
	case strings.HasPrefix(r.URL.Path, "/away/"):
		w.Header().Set("Location", "http://"+r.Host+strings.TrimPrefix(r.URL.Path, "/away"))
		w.WriteHeader(http.StatusSeeOther)
	}
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
	fmt.Fprintf(w, "\n%s", body)
}

func cmdOrigin(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "origin NAME [BASE [CA]]")
	o := &origin{held: make(chan struct{}, 100), release: make(chan struct{})}
	o.server = httptest.NewUnstartedServer(o)
	switch {
	case len(args) == 1:
		o.server.Start()
	default:
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[1]+".pem"), ts.MkAbs(args[1]+".key"))
		ts.Check(err)
		o.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		if len(args) > 2 {
			o.server.TLS.ClientAuth, o.server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, sceneOf(ts).authorities[args[2]].Pool()
		}
		o.server.StartTLS()
	}
	ts.Defer(func() {
		close(o.release)
		o.server.CloseClientConnections()
		o.server.Close()
	})
	sceneOf(ts).origins[args[0]] = o
	ts.Setenv(args[0], o.server.Listener.Addr().String())
}

// cmdSocket plays an origin at a Unix socket.
func cmdSocket(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "socket NAME PATH")
	o := &origin{held: make(chan struct{}, 100), release: make(chan struct{})}
	l, err := net.Listen("unix", ts.MkAbs(args[1]))
	ts.Check(err)
	o.server = httptest.NewUnstartedServer(o)
	ts.Check(o.server.Listener.Close())
	o.server.Listener = l
	o.server.Start()
	ts.Defer(func() {
		close(o.release)
		o.server.CloseClientConnections()
		o.server.Close()
	})
	sceneOf(ts).origins[args[0]] = o
	ts.Setenv(args[0], l.Addr().String())
}

func cmdDead(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "dead NAME")
	p := &portals{addresses: map[string]string{}}
	ts.Check(p.reserve(args[0]))
	ts.Defer(func() {
		for _, fd := range p.reserved {
			_ = syscall.Close(fd)
		}
	})
	ts.Setenv(args[0], p.addresses[args[0]])
}

func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "expand FILE...")
	for _, f := range args {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "code N COMMAND...")
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "until COMMAND...")
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("still %v after %v", err, patience)
		}
	}
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "start NAME PATTERN COMMAND...")
	p, err := startProcess(ts.MkAbs("."), nil, args[2], args[3:]...)
	ts.Check(err)
	ts.Defer(func() { _ = p.kill() })
	sceneOf(ts).processes[args[0]] = p
	cmdAwait(ts, false, args[:2])
}

func (s *scene) process(ts *testscript.TestScript, name string) *process {
	p, ok := s.processes[name]
	if !ok {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "await NAME PATTERN")
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	match, err := sceneOf(ts).process(ts, args[0]).await(pattern)
	ts.Check(err)
	for i, name := range pattern.SubexpNames() {
		if name != "" {
			ts.Setenv(name, match[i])
		}
	}
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "signal NAME TERM|HUP")
	ts.Check(sceneOf(ts).process(ts, args[0]).signal(args[1]))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "finish NAME N")
	p := sceneOf(ts).process(ts, args[0])
	code, err := p.wait()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.output()), 0o600))
	if fmt.Sprint(code) != args[1] {
		ts.Fatalf("%s ended with exit code %d, want %s:\n%s", args[0], code, args[1], p.output())
	}
}

func cmdIssue(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "issue CA BASE [HOST...]")
	s := sceneOf(ts)
	ca := s.authorities[args[0]]
	if ca == nil {
		ca = certstest.NewAuthority(s.t, args[0])
		s.authorities[args[0]] = ca
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), ca.PEM, 0o600))
	}
	pair := ca.Issue(s.t, certstest.Leaf{Name: args[1], Hosts: args[2:], Client: len(args) == 2})
	// The key first: between the two files the old certificate has the wrong one, as with any renewal in two steps.
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".key"), pair.KeyPEM, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".pem"), pair.CertPEM, 0o600))
}

func cmdArrived(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "arrived NAME")
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-sceneOf(ts).origins[args[0]].held:
	case <-timeout.C:
		ts.Fatalf("no request has arrived at %s in %v", args[0], patience)
	}
}

func cmdRelease(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "release NAME")
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case sceneOf(ts).origins[args[0]].release <- struct{}{}:
	case <-timeout.C:
		ts.Fatalf("%s holds no request", args[0])
	}
}
