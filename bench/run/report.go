// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/ratio"
)

// result is one row of latest.json; its form is fixed.
type result struct {
	Case string `json:"case"`
	Peer string `json:"peer"`
	// Ratio is the median over the rounds of subject ÷ peer, Low to High its 95 %
	// interval.
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// US and PeerUS are the medians of CPU microseconds per request.
	US     float64 `json:"us"`
	PeerUS float64 `json:"peer_us"`
}

func newResult(c benchCase, rounds []round, seed uint64) result {
	var ratios, us, peerUS []float64
	for i := range rounds {
		ratios = append(ratios, rounds[i].ratio())
		us = append(us, rounds[i].Subject.us())
		peerUS = append(peerUS, rounds[i].Peer.us())
	}
	r := result{Case: c.Name, Peer: rounds[0].Peer.Peer, Ratio: ratio.Median(ratios), US: ratio.Median(us), PeerUS: ratio.Median(peerUS)}
	r.Low, r.High = ratio.Interval(ratios, seed)
	return r
}

// key says what latest.json belongs to. It stands beside it, because the form of
// that file is fixed.
type key struct {
	Taken      string    `json:"taken"`
	Commit     string    `json:"commit"`
	Subject    string    `json:"subject"`
	Machine    machine   `json:"machine"`
	Nginx      string    `json:"nginx"`
	Rule       string    `json:"rule"`
	Method     string    `json:"method"`
	ProxyCore  int       `json:"proxy_core"`
	LoadCore   int       `json:"load_core"`
	Nice       int       `json:"nice"`
	Rows       int       `json:"rows"`
	Seed       uint64    `json:"seed"`
	Duration   string    `json:"duration"`
	Turn       string    `json:"turn"`
	WarmUp     string    `json:"warm_up"`
	Disturbed  bool      `json:"disturbed_rounds_counted"`
	SubjectRSS int64     `json:"subject_rss_bytes"`
	Cases      []keyCase `json:"cases"`
	// Missing are the cases that were wanted and have no result.
	Missing []missingCase `json:"missing,omitempty"`
}

type missingCase struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryMiB  uint64 `json:"memory_mib"`
	Kernel     string `json:"kernel"`
	Congestion string `json:"tcp_congestion_control"`
	Go         string `json:"go"`
}

type keyCase struct {
	benchCase
	Rounds int     `json:"rounds"`
	Void   int     `json:"void"`
	Each   []round `json:"each"`
}

const methodText = "CPU time (user + system, all threads) of the proxy process per completed request; both proxies on one core in short turns, load generator and origin on another; median of the ratio within each round and its 95 % interval (bootstrap)"

func newKey(ctx context.Context, o options) *key {
	return &key{
		Taken: time.Now().UTC().Format(time.RFC3339), Commit: commit(ctx, o), Subject: o.subject, Machine: thisMachine(),
		Nginx: nginxVersion(ctx), Rule: ruleText(), Method: methodText, ProxyCore: o.proxyCore, LoadCore: o.loadCore,
		Rows: o.rows, Seed: o.seed, Duration: o.duration.String(), Turn: o.turn.String(), WarmUp: o.warmUp.String(), Disturbed: o.disturbed,
	}
}

func (k *key) add(c benchCase, rounds []round, void int) {
	k.Cases = append(k.Cases, keyCase{benchCase: c, Rounds: len(rounds), Void: void, Each: rounds})
}

// commit is what the measured binary was built from, as far as we know.
func commit(ctx context.Context, o options) string {
	if o.pvgate != "" {
		return "given binary " + o.pvgate
	}
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	text := strings.TrimSpace(string(head))
	if changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changes) > 0 {
		text += " with changes"
	}
	return text
}

func nginxVersion(ctx context.Context) string {
	path, err := findNginx()
	if err != nil {
		return "unknown"
	}
	out, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "nginx version: "))
}

func thisMachine() machine {
	m := machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.MemoryMiB = info.Totalram * uint64(info.Unit) >> 20
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		m.Congestion = strings.TrimSpace(string(b))
	}
	return m
}

func writeTable(w io.Writer, o options, results []result, k *key) {
	peer := "nginx (" + k.Nginx + ")"
	if o.subject == logged {
		peer = "pvgate without an access log"
	}
	fmt.Fprintf(w, "\nCPU per request, %s beside %s, %d rows, %s · %s, %d cores, Linux %s\n\n",
		o.subject, peer, k.Rows, k.Commit, k.Machine.CPU, k.Machine.Cores, k.Machine.Kernel)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintf(t, "case\tbeside\tratio\t95 %% interval\tlimit\t%s µs\tpeer µs\treq/s\tpeer\tp50 / p99 µs\tpeer\trounds\tvoid\n", o.subject)
	for i, r := range results {
		c := k.Cases[i]
		limit := "-"
		if c.Limit > 0 {
			limit = fmt.Sprintf("%.2f", c.Limit)
		}
		var perS, peerPerS, p50, p99, peer50, peer99 []float64
		for j := range c.Each {
			s, p := &c.Each[j].Subject, &c.Each[j].Peer
			perS, peerPerS = append(perS, s.perSecond()), append(peerPerS, p.perSecond())
			p50, p99 = append(p50, us(s.P50)), append(p99, us(s.P99))
			peer50, peer99 = append(peer50, us(p.P50)), append(peer99, us(p.P99))
		}
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%.3f – %.3f\t%s\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f / %.0f\t%.0f / %.0f\t%d\t%d\n",
			r.Case, r.Peer, r.Ratio, r.Low, r.High, limit, r.US, r.PeerUS, ratio.Median(perS), ratio.Median(peerPerS),
			ratio.Median(p50), ratio.Median(p99), ratio.Median(peer50), ratio.Median(peer99), c.Rounds, c.Void)
	}
	_ = t.Flush() // the error, if any, is the terminal's
	fmt.Fprintln(w)
	for _, c := range k.Cases {
		fmt.Fprintf(w, "%s: %s\n", c.Name, c.What)
	}
	if o.subject == logged {
		for _, c := range k.Cases {
			low, high := ratio.Interval(differences(c.Each), o.seed)
			fmt.Fprintf(w, "%s: a line of the access log costs %.2f µs, 95 %% interval %.2f – %.2f\n", c.Name, ratio.Median(differences(c.Each)), low, high)
		}
	}
	for _, m := range k.Missing {
		fmt.Fprintf(w, "%s: NOT MEASURED: %s\n", m.Name, m.Why)
	}
	fmt.Fprintf(w, "rule: %s\n", k.Rule)
	if k.Disturbed {
		fmt.Fprintln(w, "DISTURBED ROUNDS WERE COUNTED: these figures show that the bench works, nothing else.")
	}
}

// differences are what the subject takes more than its peer, in each round, in microseconds per request.
func differences(rounds []round) []float64 {
	var d []float64
	for i := range rounds {
		d = append(d, rounds[i].Subject.us()-rounds[i].Peer.us())
	}
	return d
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// keyPath is the file beside path that says what it belongs to.
func keyPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".key.json"
}

func writeFiles(path string, results []result, k *key) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := writeJSON(path, results); err != nil {
		return err
	}
	return writeJSON(keyPath(path), k)
}

func writeJSON(path string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// checkGate fails if an upper bound is over its limit.
func checkGate(cases []keyCase, results []result) error {
	var errs []error
	for i, c := range cases {
		if r := results[i]; c.Limit > 0 && r.High > c.Limit {
			errs = append(errs, fmt.Errorf("%s: upper bound %.3f is over the limit %.2f", c.Name, r.High, c.Limit))
		}
	}
	return errors.Join(errs...)
}
