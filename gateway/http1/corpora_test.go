// SPDX-License-Identifier: EUPL-1.2

package http1_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

type corpusCase struct {
	Name     string   `json:"name"`
	Expected string   `json:"expected"`
	Policy   string   `json:"policy"`
	Complete int      `json:"n_ok"`
	Findings []string `json:"findings"`
	Request  string   `json:"raw_request_base64"`
	Response string   `json:"raw_response_base64"`
	Asked    string   `json:"request_base64"`
	Have     []string `json:"upstream_must_have"`
	HaveNot  []string `json:"upstream_must_not_have"`
}

// corpus yields the cases of all corpora of one kind, or skips the test.
func corpus(t *testing.T, glob string) []corpusCase {
	t.Helper()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds corpora/*.jsonl")
	}
	files, err := filepath.Glob(filepath.Join(material, "corpora", glob))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpora match %s in %s: %v", glob, material, err)
	}
	var all []corpusCase
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var c corpusCase
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, c)
		}
		if err := lines.Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.Close()
	}
	return all
}

func octets(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// outcome is what the gateway would make of a stream: how many requests come out
// complete, and their bytes as they would go upstream.
type outcome struct {
	complete int
	upstream []byte
	cause    string
}

// serve runs a stream through the machine, the path rules and the header rules,
// as the exchange does. pieces is how many octets arrive at a time; 0 is all.
func serve(stream []byte, pieces int) (o outcome) {
	limits := http1.DefaultLimits()
	var s http1.Server
	s.Init(&limits)
	var h message.Head
	var request []byte
	chunked := false
	for fed := 0; ; {
		if fed = min(fed+pieces, len(stream)); pieces == 0 {
			fed = len(stream)
		}
		for more := true; more; {
			n, ev, data := s.Feed(stream[:fed], &h)
			switch ev {
			case http1.More:
				more = false
			case http1.HeadDone:
				chunked = h.Chunked
				var cause string
				if request, cause = forward(request[:0], &h); cause != "" {
					o.cause = cause
					return o
				}
			case http1.Data:
				if chunked {
					request = http1.AppendChunk(request, data)
				} else {
					request = append(request, data...)
				}
			case http1.End:
				if chunked {
					request = append(request, http1.LastChunk...)
				}
				o.complete++
				o.upstream = append(o.upstream, request...)
			case http1.Failed:
				o.cause = s.Cause()
				return o
			}
			stream, fed = stream[n:], fed-n
		}
		if fed == len(stream) {
			return o
		}
	}
}

// forward appends the head for the backend.
func forward(dst []byte, h *message.Head) (_ []byte, cause string) {
	target := []byte("*")
	if !h.Asterisk {
		path, _, ok := message.NormalisePath(nil, h.Path)
		if !ok {
			return dst, "path"
		}
		if target = path; h.HasQuery {
			target = append(append(target, '?'), h.Query...)
		}
	}
	r := header.Request{
		Host: []byte("backend.example"), Via: []byte("pvgate-amt.example"), For: []byte("192.0.2.1"), Proto: []byte("http"),
		OrigHost: h.Authority, Chunked: h.Chunked, ContentLength: h.ContentLength,
	}
	if _, fault := r.Apply(h); fault != message.FaultNone {
		return dst, fault.String()
	}
	return http1.AppendRequest(dst, h, target), ""
}

// judged returns the request cases that have a verdict: not the header lists for
// HTTP/2.
func judged(t *testing.T) []corpusCase {
	t.Helper()
	all := append(corpus(t, "*requests.jsonl"), corpus(t, "generated-mutations*.jsonl")...)
	return slices.DeleteFunc(all, func(c corpusCase) bool { return c.Policy == "" || c.Request == "" })
}

// A harness that never saw a gateway fail proves nothing.
func TestLenientBuildForwardsWhatMustBeRefused(t *testing.T) {
	t.Parallel()
	if http1.Strict {
		t.Skip("only for -tags pvgate_lenient")
	}
	forwarded := 0
	for _, c := range judged(t) {
		if c.Policy == "reject" && serve(octets(t, c.Request), 0).complete > c.Complete {
			forwarded++
		}
	}
	if forwarded < 1000 {
		t.Errorf("%d cases of policy reject forwarded, want 1000 at least", forwarded)
	}
}

// No case that must be refused comes out complete, every case that must be
// accepted does, and none that is cut off does.
func TestCorpusRequests(t *testing.T) {
	t.Parallel()
	if !http1.Strict {
		t.Skip("the lenient build is made to fail this")
	}
	counts := map[string]int{}
	for _, c := range judged(t) {
		counts[c.Policy]++
		stream := octets(t, c.Request)
		o := serve(stream, 0)
		switch c.Policy {
		case "reject", "incomplete":
			if o.complete > c.Complete {
				t.Errorf("%s: %s: %d complete, at most %d are (%v)", c.Policy, c.Name, o.complete, c.Complete, c.Findings)
			}
		case "accept":
			if o.complete != c.Complete {
				t.Errorf("accept: %s: %d complete, want %d: %s (%v)", c.Name, o.complete, c.Complete, o.cause, c.Findings)
			}
		}
		for _, pieces := range []int{1, 7} {
			if again := serve(stream, pieces); again.complete != o.complete || again.cause != o.cause {
				t.Errorf("%s: whole: %d complete, %q; %d octets at a time: %d, %q", c.Name, o.complete, o.cause, pieces, again.complete, again.cause)
			}
		}
		checkUpstream(t, c.Name, o)
	}
	t.Logf("cases by verdict: %v", counts)
	if counts["reject"] < 1000 || counts["accept"] < 1000 {
		t.Errorf("too few cases to mean anything: %v", counts)
	}
}

// checkUpstream reads what would go upstream with the machine itself: exactly as
// many requests, written in the form it writes.
func checkUpstream(t *testing.T, name string, o outcome) {
	t.Helper()
	limits := http1.DefaultLimits()
	limits.Head, limits.Line = 64<<10, 64<<10
	var s http1.Server
	s.Init(&limits)
	var h message.Head
	rest, n := o.upstream, 0
	for {
		k, ev, _ := s.Feed(rest, &h)
		rest = rest[k:]
		if ev == http1.HeadDone {
			if via := h.Get(message.Via); !bytes.HasSuffix(via, []byte("pvgate-amt.example")) || h.Close || string(h.Authority) != "backend.example" {
				t.Errorf("%s: upstream head: Via %q, close %v, Host %q", name, via, h.Close, h.Authority)
			}
		}
		if ev == http1.End {
			n++
		}
		if ev == http1.More || ev == http1.Failed {
			break
		}
	}
	if n != o.complete || len(rest) > 0 || s.Fault() != message.FaultNone {
		t.Errorf("%s: %d requests forwarded, %d read upstream, %d octets left, %s", name, o.complete, n, len(rest), s.Cause())
	}
}

// What the hop-by-hop corpus says about single fields. Names in angle brackets
// stand for values that only the gateway under test knows.
func TestCorpusHopByHop(t *testing.T) {
	t.Parallel()
	if !http1.Strict {
		t.Skip("the lenient build is made to fail this")
	}
	for _, c := range corpus(t, "hop-by-hop*.jsonl") {
		request := strings.ToLower(string(octets(t, c.Request)))
		upstream := strings.ToLower(string(serve(octets(t, c.Request), 0).upstream))
		for _, want := range c.Have {
			if !strings.Contains(want, "<") && !strings.Contains(upstream, "\r\n"+want) {
				t.Errorf("%s: %q is missing in %q", c.Name, want, upstream)
			}
		}
		for _, unwanted := range c.HaveNot {
			switch {
			case unwanted == "<client-supplied value as sole value>":
				for _, line := range strings.Split(request, "\r\n")[2:] {
					if line != "" && strings.Contains(upstream, "\r\n"+line+"\r\n") {
						t.Errorf("%s: %q is passed as sent", c.Name, line)
					}
				}
			case strings.Contains(unwanted, ":") && strings.Contains(upstream, "\r\n"+unwanted+"\r\n"),
				!strings.Contains(unwanted, ":") && strings.Contains(upstream, "\r\n"+unwanted+":"):
				t.Errorf("%s: %q is in %q", c.Name, unwanted, upstream)
			}
		}
	}
}

// Of the response files only this one has verdicts made for gateways.
func TestCorpusResponses(t *testing.T) {
	t.Parallel()
	if !http1.Strict {
		t.Skip("the lenient build is made to fail this")
	}
	for _, c := range corpus(t, "upstream-responses*.jsonl") {
		asked := string(octets(t, c.Asked))
		for _, pieces := range []int{0, 1} {
			complete, cause, reusable := receive(octets(t, c.Response), pieces, strings.HasPrefix(asked, "HEAD"), strings.Contains(asked, "Upgrade:"))
			switch {
			case c.Expected == "accept" && !complete:
				t.Errorf("accept: %s: %s", c.Name, cause)
			case c.Expected == "reject" && complete:
				t.Errorf("reject: %s: complete", c.Name)
			}
			if reusable && (strings.Contains(c.Name, "extra") || strings.Contains(c.Name, "body-on")) {
				t.Errorf("%s: the connection looks reusable", c.Name)
			}
		}
	}
}

// Whatever stands in the other files must neither crash nor depend on the cuts.
func TestCorpusResponsesInPieces(t *testing.T) {
	t.Parallel()
	for _, c := range corpus(t, "*responses.jsonl") {
		stream := octets(t, c.Response)
		complete, cause, _ := receive(stream, 0, false, false)
		again, cause1, _ := receive(stream, 1, false, false)
		if complete != again || cause != cause1 {
			t.Errorf("%s: whole: %v %q; octet by octet: %v %q", c.Name, complete, cause, again, cause1)
		}
	}
}

func receive(stream []byte, pieces int, isHEAD, offered bool) (complete bool, cause string, reusable bool) {
	limits := http1.DefaultLimits()
	var c http1.Client
	c.Init(&limits)
	c.Start(isHEAD, offered)
	var h message.Head
	for fed := 0; ; {
		if fed = min(fed+pieces, len(stream)); pieces == 0 {
			fed = len(stream)
		}
		for more := true; more; {
			n, ev, _ := c.Feed(stream[:fed], &h)
			stream, fed = stream[n:], fed-n
			switch ev {
			case http1.End:
				return true, "", c.Reusable() && len(stream) == 0
			case http1.Failed:
				return false, c.Cause(), c.Reusable()
			case http1.More:
				more = false
			}
		}
		if fed == len(stream) {
			return c.EOF() == http1.End, c.Cause(), c.Reusable()
		}
	}
}
