// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

func TestEveryReadingSeesWhatItsReaderWouldSee(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, leaves string }{
		{"/public/a", ""},
		{"/public/../admin", "removes dot segments"},
		{"/public/%2e%2e/admin", "decodes once and removes dot segments"},
		{"/public/..%2fadmin", "decodes once and removes dot segments"},
		{`/public/..\admin`, "takes a backslash for a slash"},
		{"/public/..;x/admin", "strips parameters"},
		{"/public//admin", ""},
	} {
		var leaves []string
		for _, r := range readings {
			if !below("/public", r.read(c.path)) {
				leaves = append(leaves, r.name)
			}
		}
		if c.leaves == "" && len(leaves) > 0 || c.leaves != "" && !strings.Contains(strings.Join(leaves, ", "), c.leaves) {
			t.Errorf("%s leaves /public for readers that: %q; want %q", c.path, leaves, c.leaves)
		}
	}
}

func TestCountedAllowsOnlyWhatComesBeforeTheOffence(t *testing.T) {
	t.Parallel()
	const good = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	const bad = "GET /b HTTP/1.1\nHost: a\r\n\r\n"
	arrivals := func(n int) (as []*arrival) {
		for range n {
			as = append(as, &arrival{complete: true})
		}
		return as
	}
	for _, c := range []struct {
		name, raw, policy string
		nOK, arrive       int
		want              kind
	}{
		{"a good one before a bad one", good + bad, "reject", 2, 1, ""},
		{"the bad one too", good + bad, "reject", 2, 2, forwarded},
		{"the bad one alone", bad, "reject", 1, 1, forwarded},
		{"refused for its size", good, "reject", 1, 1, forwarded},
		{"two good ones", good + good, "accept", 2, 2, ""},
		{"one of two good ones", good + good, "accept", 2, 1, missing},
		{"three of two", good + good, "accept", 2, 3, forwarded},
		{"half a request", good[:20], "incomplete", 0, 1, forwarded},
		{"left open", bad, "any", 1, 1, ""},
	} {
		k := &kase{Policy: c.policy, NOK: &c.nOK}
		got := counted(k, strict.Requests([]byte(c.raw), strict.Sent), arrivals(c.arrive), false)
		if (c.want == "") != (len(got) == 0) || len(got) > 0 && got[0].kind != c.want {
			t.Errorf("%s: got %v, want %q", c.name, got, c.want)
		}
	}
}

func TestTheSecondJudgeDisagreesWhereItShould(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed: the second judge is Debian's package nodejs")
	}
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const odd = "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"
	logs := []upstreamLog{
		{bytes: []byte(get + get), complete: 2, starts: []int{0, len(get)}},
		{bytes: []byte(get + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"), complete: 1, partial: true, starts: []int{0}, last: len(get)},
		{bytes: []byte(get + "BREW /pot HTTP/1.1\r\nHost"), complete: 1, partial: true, starts: []int{0}, last: len(get)},
		{bytes: []byte(get + odd + get), complete: 3, starts: []int{0, len(get), len(get) + len(odd)}},
		{bytes: []byte(get + "GET / HTTP/1.1\r\nHost : a\r\n\r\n"), complete: 2, starts: []int{0, len(get)}},
		{bytes: []byte(get), complete: 2, starts: []int{0}},
	}
	got, version, err := secondOpinion(logs)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.Contains(version, "llhttp") {
		t.Errorf("got %d disagreements (%q) with %q, want the last 2 logs", len(got), got, version)
	}
}
