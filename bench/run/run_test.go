// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/proc"
)

// asProgram makes the test binary behave as the program itself.
const asProgram = "PVGATE_BENCH_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// second is a half of one second in which everything was as it should be.
func second(name string, requests uint64, cpu time.Duration) half {
	return half{Peer: name, counts: counts{
		Requests: requests, Elapsed: time.Second, ProxyCPU: cpu, OriginCPU: 300 * time.Millisecond, LoadCPU: 400 * time.Millisecond,
		ProxyCore: proc.Core{Busy: cpu + 20*time.Millisecond}, LoadCore: proc.Core{Busy: 720 * time.Millisecond},
	}}
}

func TestRoundIsVoidByTheStatedRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*round)
		want  string
	}{
		{"undisturbed", func(*round) {}, ""},
		{"just below", func(r *round) {
			r.Peer.ProxyCore.Busy += 30 * time.Millisecond
			r.Peer.LoadCore.Steal = 30 * time.Millisecond
		}, ""},
		{"foreign on the proxy's core", func(r *round) { r.Subject.ProxyCore.Busy += 40 * time.Millisecond }, "pvgate: foreign CPU on the proxy's core 6 %"},
		{"foreign on the load's core", func(r *round) { r.Peer.LoadCore.Busy += 100 * time.Millisecond }, "nginx: foreign CPU on the load's core 12 %"},
		{"steal", func(r *round) { r.Peer.ProxyCore.Steal = 40 * time.Millisecond }, "nginx: steal on the proxy's core 4 %"},
	} {
		r := round{Subject: second("pvgate", 50_000, 900*time.Millisecond), Peer: second("nginx", 30_000, 950*time.Millisecond)}
		c.spoil(&r)
		if got := r.disturbance(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestResultIsTheMedianOfThePairedRatios(t *testing.T) {
	t.Parallel()
	rounds := []round{
		{Subject: second("pvgate", 100_000, time.Second), Peer: second("nginx", 50_000, time.Second)},           // 10 ÷ 20
		{Subject: second("pvgate", 50_000, time.Second), Peer: second("nginx", 25_000, time.Second)},            // 20 ÷ 40: slower times, same ratio
		{Subject: second("pvgate", 100_000, 1200*time.Millisecond), Peer: second("nginx", 50_000, time.Second)}, // 12 ÷ 20
	}
	got := newResult(allCases()[0], rounds, 1)
	if got.Ratio != 0.5 || got.Low != 0.5 || got.High != 0.6 || got.US != 12 || got.PeerUS != 20 || got.Peer != "nginx" || got.Case != "h1-1k-c64" {
		t.Errorf("got %+v", got)
	}
	b, err := json.Marshal([]result{got})
	if err != nil || !strings.HasPrefix(string(b), `[{"case":"h1-1k-c64","peer":"nginx","ratio":0.5,"low":0.5,"high":0.6,"us":12,"peer_us":20}]`) {
		t.Errorf("got %s, %v", b, err)
	}
	cases := []keyCase{{benchCase: allCases()[0]}}
	if err := checkGate(cases, []result{got}); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	got.High = 0.751
	if err := checkGate(cases, []result{got}); err == nil {
		t.Error("over the limit: got no error")
	}
}

func TestACaseThatFailsCostsItselfOnly(t *testing.T) {
	t.Parallel()
	good := []round{{Subject: second("pvgate", 100_000, time.Second), Peer: second("nginx", 50_000, time.Second)}}
	failed := errors.New("3 requests failed")
	o := options{cases: allCases()[:4], seed: 1, gate: true, subject: "pvgate", out: filepath.Join(t.TempDir(), "r.json")}
	names := make([]string, len(o.cases))
	for i := range o.cases {
		names[i] = o.cases[i].Name
	}
	k := &key{}
	results, missing := measureAll(t.Context(), o, k, func(_ context.Context, c benchCase) ([]round, int, error) {
		switch c.Name {
		case names[0]:
			return nil, 9, errTooDisturbed
		case names[2]:
			return nil, 0, failed
		}
		return good, 2, nil
	})
	if !errors.Is(missing, errTooDisturbed) || !errors.Is(missing, failed) || !strings.Contains(missing.Error(), names[0]) || !strings.Contains(missing.Error(), names[2]) {
		t.Errorf("got %v, want both cases and why", missing)
	}
	var table strings.Builder
	if err := publish(&table, o, results, k); err != nil {
		t.Fatal(err)
	}
	var written []result
	var beside key
	for path, v := range map[string]any{o.out: &written, keyPath(o.out): &beside} {
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(written) != 2 || written[0].Case != names[1] || written[1].Case != names[3] || len(beside.Cases) != 2 {
		t.Errorf("got %+v, want the two cases that are complete", written)
	}
	if len(beside.Missing) != 2 || beside.Missing[0] != (missingCase{names[0], errTooDisturbed.Error()}) {
		t.Errorf("got %+v beside them", beside.Missing)
	}
	if !strings.Contains(table.String(), names[2]+": NOT MEASURED: "+failed.Error()) {
		t.Errorf("the table does not name what is missing:\n%s", table.String())
	}
}

func TestWhereNothingIsMeasuredWhatWasWrittenStays(t *testing.T) {
	t.Parallel()
	o := options{cases: allCases()[:2], out: filepath.Join(t.TempDir(), "r.json")}
	if err := os.WriteFile(o.out, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	k := &key{}
	results, missing := measureAll(ctx, o, k, func(context.Context, benchCase) ([]round, int, error) {
		cancel() // nothing is measured after an interrupt
		return nil, 0, ctx.Err()
	})
	if !errors.Is(missing, context.Canceled) || len(k.Missing) != 2 {
		t.Errorf("got %v, %+v", missing, k.Missing)
	}
	if err := publish(io.Discard, o, results, k); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(o.out); err != nil || string(b) != "[]" {
		t.Errorf("got %s, %v", b, err)
	}
}

func TestTurnsAddUp(t *testing.T) {
	t.Parallel()
	var h half
	for i := range 4 {
		tn := turn{counts: second("", 100, 10*time.Millisecond).counts}
		tn.ProxyCore.Steal = time.Millisecond
		tn.Latency.Record(time.Duration(i+1) * 10)
		h.add(&tn)
	}
	want := counts{
		Requests: 400, Elapsed: 4 * time.Second, ProxyCPU: 40 * time.Millisecond, OriginCPU: 1200 * time.Millisecond, LoadCPU: 1600 * time.Millisecond,
		ProxyCore: proc.Core{Busy: 120 * time.Millisecond, Steal: 4 * time.Millisecond}, LoadCore: proc.Core{Busy: 2880 * time.Millisecond},
	}
	if h.counts != want {
		t.Errorf("got %+v, want %+v", h.counts, want)
	}
	if h.P50 != 20 || h.P99 != 40 || h.us() != 100 || h.perSecond() != 100 {
		t.Errorf("p50 %v p99 %v, %v µs, %v/s", h.P50, h.P99, h.us(), h.perSecond())
	}
}

func TestRequestsAreWholeAndAsTheCaseSays(t *testing.T) {
	t.Parallel()
	set, err := entries.New(50_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	pairs := set.Pairs(pairCount)
	for _, c := range allCases() {
		msgs := c.requests(pairs)
		if len(msgs) != pairCount && len(msgs) != fewPairs {
			t.Errorf("%s: %d messages", c.Name, len(msgs))
		}
		seen := map[string]bool{}
		for i, m := range msgs {
			r := bufio.NewReader(bytes.NewReader(m))
			req, err := http.ReadRequest(r)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil || len(body) != c.body || r.Buffered() > 0 {
				t.Fatalf("%s: body of %d octets, %d after it, %v", c.Name, len(body), r.Buffered(), err)
			}
			want := "/antrag/"
			host := "origin.gw.bench.example"
			if c.entry {
				want, host = "/leistung/", "gw.bench.example"
			}
			want += pairs[i].Leistung + "/" + pairs[i].Area + "/" + c.answer
			if req.URL.Path != want || req.Host != host || req.Close != c.close || len(req.Header) < 6 || seen[want] {
				t.Fatalf("%s: got %s %s close=%v, %d fields", c.Name, req.Host, req.URL.Path, req.Close, len(req.Header))
			}
			seen[want] = true
		}
	}
}

func TestFlagsAreRefusedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-cases", "h9"}, {"-subject", "caddy"}, {"extra"}, {"-rounds", "0"}, {"-proxy-core", "1"}, {"-turn", "1ms"}, {"-duration", "1s", "-turn", "2s"}, {"-nope"},
	} {
		if _, err := parse(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v, want a usage error", args, err)
		}
	}
	o, err := parse(nil, io.Discard)
	if err != nil || o.rounds < 7 || o.duration < 3*time.Second || o.rows != 1_000_000 || o.disturbed || o.out != "bench/results/latest.json" || len(o.cases) != 8 {
		t.Errorf("defaults: got %+v, %v", o, err)
	}
	o, err = parse([]string{"-quick", "-cases", "all"}, io.Discard)
	if err != nil || o.rounds != 1 || o.out != "" || len(o.cases) != len(allCases()) {
		t.Errorf("quick: got %+v, %v", o, err)
	}
}

func TestQuickRunOfNginxBesideItselfWritesBothFiles(t *testing.T) {
	t.Parallel()
	if _, err := findNginx(); err != nil {
		t.Skip("nginx, the peer, is not installed")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs two cores")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "r.json")
	cmd := exec.Command(self, "-quick", "-subject", "nginx", "-cases", "h1-1k-c4,h1-1k-entry-post,h1-close,tls-1k-c64,tls-close", "-out", out)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var results []result
	var k key
	for path, v := range map[string]any{out: &results, keyPath(out): &k} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if len(results) != 5 || len(k.Cases) != 5 || k.Cases[0].Rounds != 1 || !k.Disturbed || k.SubjectRSS == 0 {
		t.Errorf("got %+v\n%+v", results, k)
	}
	for _, r := range results {
		if r.Ratio <= 0 || r.US <= 0 || r.PeerUS <= 0 || r.Low != r.High {
			t.Errorf("got %+v", r)
		}
	}
	if !strings.Contains(string(text), "DISTURBED ROUNDS WERE COUNTED") {
		t.Errorf("the output does not say that it measures nothing:\n%s", text)
	}
}
