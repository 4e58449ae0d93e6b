// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
	"github.com/pvgate/pvgate/bench/cert"
	"github.com/pvgate/pvgate/bench/proof"
)

const (
	testsslTool = "testssl"
	testsslHost = "gw.localhost"
	testsslTime = 15 * time.Minute
)

// testsslFinding is one line of testssl.sh's report.
type testsslFinding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Finding  string `json:"finding"`
}

// testsslFigure is what testssl.sh finds in one profile.
type testsslFigure struct {
	Profile  string           `json:"profile"`
	Checks   int              `json:"checks"`
	Seconds  float64          `json:"seconds"`
	Findings []testsslFinding `json:"findings"` // LOW and above, without those about the certificate of the run
}

// ofTheRun says what testssl.sh finds in every run, whatever the gateway does: a certificate that nobody vouches for,
// without ways to ask whether it is revoked and without a CAA record, and its own openssl.
func (f *testsslFinding) ofTheRun() bool {
	id, _, _ := strings.Cut(f.ID, " ")
	return slices.Contains([]string{"cert_trust", "cert_chain_of_trust", "cert_revocation", "OCSP_stapling", "cert_ocspURL", "DNS_CAArecord", "engine_problem"}, id)
}

// testssl asks testssl.sh what it thinks of both profiles; nothing may be worse than LOW. A short run leaves out the
// questions for single ciphers, known weaknesses and clients, which take minutes.
func testssl(ctx context.Context, b *bed) (any, error) {
	tool, err := exec.LookPath(testsslTool)
	if err != nil {
		return nil, skipped("testssl.sh is not installed; on Debian: apt-get install testssl.sh")
	}
	dir, err := os.MkdirTemp("", "pvgate-testssl-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := cert.Write(dir, testsslHost); err != nil {
		return nil, err
	}
	profiles := []string{"default", "bsi"}
	config := fmt.Sprintf("domain: %s\nlisten:\n", testsslHost)
	for _, profile := range profiles {
		config += fmt.Sprintf("  - {address: %q, hosts: [%s], tls: {cert: %q, key: %q, profile: %s, hsts: {days: 365}}}\n",
			binary.AnyPort, testsslHost, filepath.Join(dir, cert.CertFile), filepath.Join(dir, cert.KeyFile), profile)
	}
	p, err := binary.Start(ctx, binary.Options{Path: b.binary, Config: config})
	if err != nil {
		return nil, err
	}
	figures, faults := make([]testsslFigure, len(profiles)), make([]error, len(profiles))
	var wg sync.WaitGroup
	for i, profile := range profiles {
		wg.Go(func() {
			figures[i], faults[i] = askTestssl(ctx, tool, p.Address(i), filepath.Join(dir, profile+".json"))
			figures[i].Profile = profile
			if faults[i] != nil {
				faults[i] = fmt.Errorf("profile %s: %w", profile, faults[i])
			}
		})
	}
	wg.Wait()
	return figures, end(p, errors.Join(faults...))
}

func askTestssl(ctx context.Context, tool, address, report string) (testsslFigure, error) {
	var figure testsslFigure
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return figure, err
	}
	args := []string{"--quiet", "--warnings", "batch", "--color", "0", "--ip", "127.0.0.1", "--jsonfile", report}
	if !proof.Full() {
		args = append(args, "-p", "-s", "-f", "-S", "-h")
	}
	ctx, cancel := context.WithTimeout(ctx, testsslTime)
	defer cancel()
	start := time.Now()
	// Its exit code counts what it could not ask, such as its own openssl's gaps; the report says what it found.
	out, runErr := exec.CommandContext(ctx, tool, append(args, "https://"+net.JoinHostPort(testsslHost, port)+"/")...).CombinedOutput()
	figure.Seconds = time.Since(start).Seconds()
	text, err := os.ReadFile(report)
	if err != nil {
		return figure, fmt.Errorf("testssl.sh wrote no report (%w):\n%s", errors.Join(runErr, ctx.Err()), out)
	}
	var all []testsslFinding
	if err := json.Unmarshal(text, &all); err != nil {
		return figure, fmt.Errorf("testssl.sh was broken off (%w): %w", errors.Join(runErr, ctx.Err()), err)
	}
	var worse error
	for _, f := range all {
		figure.Checks++
		switch f.Severity {
		case "OK", "INFO", "DEBUG":
			continue
		}
		if f.ofTheRun() {
			continue
		}
		figure.Findings = append(figure.Findings, f)
		if f.Severity != "LOW" {
			worse = errors.Join(worse, fmt.Errorf("%s: %s %s", f.Severity, f.ID, f.Finding))
		}
	}
	if figure.Checks < 20 {
		worse = errors.Join(worse, fmt.Errorf("testssl.sh judged %d things only:\n%s", figure.Checks, out))
	}
	return figure, worse
}
