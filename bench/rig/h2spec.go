// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
)

// h2specTool is built by the Makefile.
const h2specTool = ".cache/tools/h2spec"

const h2specTime = 3 * time.Minute

// h2specFigure is h2spec's judgement of one way to speak HTTP/2.
type h2specFigure struct {
	Over    string  `json:"over"`
	Cases   int     `json:"cases"`
	Passed  int     `json:"passed"`
	Skipped int     `json:"skipped"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
}

// h2specSuite is a section of h2spec's report.
type h2specSuite struct {
	Package string `xml:"package,attr"`
	Name    string `xml:"name,attr"`
	Cases   []struct {
		Name    string  `xml:"classname,attr"`
		Failure *string `xml:"failure"`
		Error   *string `xml:"error"`
		Skipped *string `xml:"skipped"`
	} `xml:"testcase"`
}

// h2spec asks h2spec, with its strict cases, over TLS and without: nothing may fail.
func h2spec(ctx context.Context, b *bed) (any, error) {
	if _, err := os.Stat(h2specTool); err != nil {
		return nil, skipped("h2spec is not built; make " + h2specTool)
	}
	dir, err := os.MkdirTemp("", "pvgate-h2spec-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := cert.Write(dir, tlsHost); err != nil {
		return nil, err
	}
	// It answers when it has read the request: what a case does wrong behind the head has to be seen before.
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello, h2spec\n")
	}))
	defer origin.Close()
	config := fmt.Sprintf("domain: %s\nlisten:\n  - {address: %q, hosts: any, default: origin, protocols: [h2]}\n"+
		"  - {address: %q, hosts: any, default: origin, tls: {cert: %q, key: %q}}\nbackends:\n  origin: {mode: proxy, endpoints: [%q]}\n",
		tlsHost, binary.AnyPort, binary.AnyPort, filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile), origin.URL)
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, err
	}
	figures, faults := make([]h2specFigure, 2), make([]error, 2)
	for i, over := range []string{"tcp", "tls"} {
		figures[i], faults[i] = askH2spec(ctx, p.Address(i), over, filepath.Join(dir, over+".xml"))
	}
	return figures, end(p, errors.Join(faults...))
}

func askH2spec(ctx context.Context, address, over, report string) (h2specFigure, error) {
	figure := h2specFigure{Over: over}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return figure, err
	}
	args := []string{"-S", "-h", host, "-p", port, "-o", "5", "-j", report}
	if over == "tls" {
		args = append(args, "-t", "-k")
	}
	ctx, cancel := context.WithTimeout(ctx, h2specTime)
	defer cancel()
	start := time.Now()
	out, runErr := exec.CommandContext(ctx, h2specTool, args...).CombinedOutput()
	figure.Seconds = time.Since(start).Seconds()
	text, err := os.ReadFile(report)
	if err != nil {
		return figure, fmt.Errorf("h2spec wrote no report (%w):\n%s", errors.Join(runErr, ctx.Err()), out)
	}
	var all struct {
		Suites []h2specSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &all); err != nil {
		return figure, err
	}
	var wrong error
	for _, suite := range all.Suites {
		for _, c := range suite.Cases {
			figure.Cases++
			switch failure := slices.IndexFunc([]*string{c.Failure, c.Error}, func(s *string) bool { return s != nil }); {
			case failure >= 0:
				figure.Failed++
				wrong = errors.Join(wrong, fmt.Errorf("%s: %s: %s", over, suite.Package, c.Name))
			case c.Skipped != nil:
				figure.Skipped++
			default:
				figure.Passed++
			}
		}
	}
	if figure.Cases < 140 {
		wrong = errors.Join(wrong, fmt.Errorf("%s: h2spec ran %d cases only:\n%s", over, figure.Cases, out))
	}
	return figure, wrong
}
