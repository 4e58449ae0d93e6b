// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pvgate/pvgate/bench/scripted"
)

// Commands of scripts about look-ups:
//
//	suchdienst NAME FILE  start a Suchdienst; $NAME is its address. It knows the lines of the file: Leistung, ARS (of what
//	                      lies inside it too), and the URL of a form, or "page" and that of a source portal
//	routings NAME FILE    start a Routing API; $NAME is its address, and NAME.jwks its keys. Of the lines it knows Leistung,
//	                      ARS, and a destination
//	fault NAME FAULT      from now on it answers so: a name of scripted.Fault, "well" again
//	asked NAME N          it has been asked N times

// rowsOf are the lines of a file that are about a question.
func rowsOf(ts *testscript.TestScript, file string, q scripted.Question) [][]string {
	text, err := os.ReadFile(ts.MkAbs(file))
	if err != nil {
		return nil
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == q.Leistung && strings.HasPrefix(q.Area, f[1]) {
			rows = append(rows, f)
		}
	}
	return rows
}

func cmdSuchdienst(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "suchdienst NAME FILE")
	serveScripted(ts, args[0], &scripted.Service{Descriptions: func(q scripted.Question) []scripted.Description {
		var all []scripted.Description
		for _, f := range rowsOf(ts, args[1], q) {
			d := scripted.Description{
				ID: "L100001.LB.1", Name: "Leistung", ARS: []string{(f[1] + "000000000000")[:12]}, LeikaKeys: []string{f[0]},
				LastUpdate: "2026-11-02T09:12:51.102Z", ExternalLastUpdate: "2026-11-02T09:12:48.754836774Z",
			}
			if f[2] == "page" {
				d.SourcePortals = []scripted.Link{{Title: "Portal", URI: f[3]}}
			} else {
				d.OnlineServiceLinks = []scripted.Link{{Title: "Formular", URI: f[2]}}
			}
			all = append(all, d)
		}
		return all
	}})
}

func cmdRoutings(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "routings NAME FILE")
	signer, err := conformanceSigner()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".jwks"), scripted.JWKS(signer), 0o600))
	serveScripted(ts, args[0], &scripted.Service{Routes: func(q scripted.Question) []scripted.Route {
		var all []scripted.Route
		for _, f := range rowsOf(ts, args[1], q) {
			all = append(all, scripted.Route{
				DestinationID: f[2], DestinationSignature: signer.Destination(f[2], f[0], f[1]), DestinationName: "Amt", ImprintURL: "https://www.amt.example/impressum",
				PrivacyPolicyURL: "https://www.amt.example/datenschutz", AccessibilityURL: "https://www.amt.example/barrierefreiheit",
			})
		}
		return all
	}})
}

func serveScripted(ts *testscript.TestScript, name string, s *scripted.Service) {
	server := httptest.NewServer(s)
	ts.Defer(func() {
		s.Close()
		server.CloseClientConnections()
		server.Close()
	})
	sceneOf(ts).services[name] = s
	ts.Setenv(name, strings.TrimPrefix(server.URL, "http://"))
}

func serviceOf(ts *testscript.TestScript, name string) *scripted.Service {
	s := sceneOf(ts).services[name]
	if s == nil {
		ts.Fatalf("no service %q", name)
	}
	return s
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "fault NAME FAULT")
	f, ok := scripted.ParseFault(args[1])
	if !ok {
		ts.Fatalf("no fault %q", args[1])
	}
	serviceOf(ts, args[0]).Be(f)
}

func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "asked NAME N")
	if n := serviceOf(ts, args[0]).Total(); strconv.Itoa(n) != args[1] {
		ts.Fatalf("%s was asked %d times, want %s", args[0], n, args[1])
	}
}
