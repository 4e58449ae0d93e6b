// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pvgate/pvgate/bench/binary"
)

// figures are what bench/proof/corpora.json holds of a session.
type figures struct {
	Cases            int               `json:"cases"`
	FailedCases      int               `json:"failed_cases"`
	ForwardedRejects int               `json:"forwarded_rejects"`
	Lenient          int               `json:"forwarded_rejects_with_checks_off"`
	Canaries         int               `json:"canaries"`
	Upstream         int               `json:"upstream_connections"`
	Forwarded        int               `json:"requests_upstream"`
	Judge2           string            `json:"second_judge"`
	Seconds          float64           `json:"seconds"`
	Corpora          map[string]*tally `json:"corpora"`
}

// report is what a session found.
type report struct {
	mu sync.Mutex // guards all below while lanes run
	figures
	violations []violation
	slow       []slowCase
}

// tally counts the cases of one corpus.
type tally struct {
	Cases      int `json:"cases"`
	Accept     int `json:"accept"`
	Reject     int `json:"reject"`
	Open       int `json:"any"`
	Incomplete int `json:"incomplete"`
	Failed     int `json:"failed"`
}

type violation struct{ where, text string }

type slowCase struct {
	name string
	took time.Duration
}

func newReport() *report { return &report{figures: figures{Corpora: map[string]*tally{}}} }

func (r *report) add(k *kase, found []finding, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.Corpora[k.corpus]
	if t == nil {
		t = &tally{}
		r.Corpora[k.corpus] = t
	}
	r.Cases++
	t.Cases++
	verdict := k.Policy
	if verdict == "" {
		verdict = k.Expected
	}
	switch verdict {
	case "accept":
		t.Accept++
	case "reject":
		t.Reject++
	case "incomplete":
		t.Incomplete++
	default:
		t.Open++
	}
	if took > 200*time.Millisecond {
		r.slow = append(r.slow, slowCase{k.corpus + " " + k.Name, took})
	}
	if len(found) == 0 {
		return
	}
	r.FailedCases++
	t.Failed++
	if k.Policy == "reject" && slices.ContainsFunc(found, func(f finding) bool { return f.kind == forwarded }) {
		r.ForwardedRejects++
	}
	for _, f := range found {
		r.violations = append(r.violations, violation{
			k.corpus + " " + k.Name,
			fmt.Sprintf("%s [%s]: %s", f.kind, k.Policy+k.Expected, f.text),
		})
	}
}

func (r *report) wrong(where, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, violation{where, text})
}

func (r *report) canary(err error) {
	if err != nil {
		r.wrong("canary", err.Error())
	}
	r.mu.Lock()
	r.Canaries++
	r.mu.Unlock()
}

// settled checks, once all clients have left, that the process is alive, has not panicked and has given back its
// descriptors; pooled connections close by themselves, so it may take a while.
func (r *report) settled(p *binary.Process, baseline int) {
	if line := p.Panicked(); line != "" {
		r.wrong("process", line)
	}
	deadline := time.Now().Add(settle)
	for {
		now, err := p.FDs()
		if err != nil {
			r.wrong("process", err.Error())
			return
		}
		// The admin listener keeps the connection that reads its metrics.
		if now <= baseline+1 {
			return
		}
		if time.Now().After(deadline) {
			r.wrong("process", fmt.Sprintf("%d descriptors open, %d before the run", now, baseline))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// accounts checks that the gateway's count per backend is that of the requests it forwarded: each that arrived whole is
// counted once, and none is counted that never began to arrive.
func (r *report) accounts(p *binary.Process, lanes []*lane) {
	metrics, err := p.Metrics()
	if err != nil {
		r.wrong("accounts", err.Error())
		return
	}
	for _, l := range lanes {
		l.collect()
		r.Forwarded += l.forwarded
		got, ok := metrics.Sum("pvgate_backend_requests_total", fmt.Sprintf("backend=%q", fmt.Sprintf("origin-%d", l.id)))
		if !ok || int(got) < l.forwarded || int(got) > l.begun {
			r.wrong("accounts", fmt.Sprintf("origin-%d: pvgate_backend_requests_total is %v; %d requests arrived whole, %d in all", l.id, got, l.forwarded, l.begun))
		}
	}
}

func (r *report) failures() int { return len(r.violations) }

func (r *report) print(out io.Writer, show int) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "cases\taccept\treject\tany\tincomplete\tfailed\t  corpus")
	var names []string
	for name := range r.Corpora {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := r.Corpora[name]
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", t.Cases, t.Accept, t.Reject, t.Open, t.Incomplete, t.Failed, name)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "%d cases in %.1f s; %d requests upstream on %d connections, read by strict and by node %s; %d canaries\n",
		r.Cases, r.Seconds, r.Forwarded, r.Upstream, r.Judge2, r.Canaries)
	fmt.Fprintf(out, "refused cases forwarded: %d\n", r.ForwardedRejects)
	slices.SortFunc(r.violations, func(a, b violation) int { return strings.Compare(a.where+a.text, b.where+b.text) })
	for i, v := range r.violations {
		if i == show {
			fmt.Fprintf(out, "… and %d more\n", len(r.violations)-show)
			break
		}
		fmt.Fprintf(out, "  %s: %s\n", v.where, v.text)
	}
}

func (r *report) printSlowest() {
	slices.SortFunc(r.slow, func(a, b slowCase) int { return int(b.took - a.took) })
	for _, s := range r.slow[:min(20, len(r.slow))] {
		fmt.Fprintf(os.Stderr, "%8.3f s  %s\n", s.took.Seconds(), s.name)
	}
}
