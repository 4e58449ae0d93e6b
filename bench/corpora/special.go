// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// sequence sends a case step by step: the next step goes out when the answers to all requests so far are in. Whatever
// the step leaves over must not become part of the next.
func (l *lane) sequence(k *kase) []finding {
	c, err := l.dial()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer c.close()
	var found []finding
	var answers []answer
	var sent []byte
	var judged strict.Stream
	open := true
	for i, step := range k.Steps {
		sent = append(sent, step...)
		judged = strict.Requests(sent, strict.Sent)
		last := i == len(k.Steps)-1
		c.send(step, len(step), last && k.Expected != "accept")
		for open && len(answers) < len(judged.Requests) {
			a, err := c.next(judged.Requests[len(answers)].Method)
			if err != nil {
				open = false
				if k.Expected == "accept" || !errors.Is(err, errClosed) {
					found = append(found, finding{missing, fmt.Sprintf("step %d: %v", i+1, err)})
				}
				break
			}
			answers = append(answers, a)
			open = !a.Close
		}
	}
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	arrived, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	whole := 0
	for _, a := range arrived {
		if a.complete {
			whole++
		}
	}
	if whole > len(judged.Requests) || k.Expected == "accept" && whole != len(judged.Requests) {
		found = append(found, finding{forwarded, fmt.Sprintf("%d requests arrived, %d were sent: %s", whole, len(judged.Requests), describe(arrived))})
	}
	return append(found, append(owned(answers, all), unaltered(judged, arrived)...)...)
}

// pathCase sends a request whose path means different things to different readers. With a rule that allows what is below
// /public, what arrives below it must stay there under every reading that an origin may have.
func (l *lane) pathCase(k *kase) []finding {
	one := 1
	k.NOK = &one
	c, err := l.dial()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer c.close()
	c.send(k.Raw, len(k.Raw), true)
	judged := strict.Requests(k.Raw, strict.Sent)
	answers, found := readAll(c, judged)
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	arrived, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	found = append(found, owned(answers, all)...)
	found = append(found, counted(k, judged, arrived, false)...)
	for _, a := range arrived {
		target, _, _ := strings.Cut(a.request.Target, "?")
		if !below("/public", target) {
			continue // a router that compares the path as it arrives does not take it for public
		}
		for _, r := range readings {
			if got := r.read(target); !below("/public", got) {
				found = append(found, finding{forwarded, fmt.Sprintf("%q arrived and is %q to a reader that %s", target, got, r.name)})
			}
		}
	}
	return found
}

func below(folder, p string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// readings are the ways in which origins are known to read a path.
var readings = [...]struct {
	name string
	read func(string) string
}{
	{"takes it literally", func(p string) string { return p }},
	{"removes dot segments", path.Clean},
	{"decodes once and removes dot segments", func(p string) string { return path.Clean(unescape(p)) }},
	{"merges slashes", func(p string) string {
		for strings.Contains(p, "//") {
			p = strings.ReplaceAll(p, "//", "/")
		}
		return p
	}},
	{"takes a backslash for a slash", func(p string) string { return path.Clean(strings.ReplaceAll(unescape(p), `\`, "/")) }},
	{"strips parameters", func(p string) string {
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		return path.Clean(strings.Join(segments, "/"))
	}},
}

// unescape decodes each %xx once and leaves what is none.
func unescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			var c byte
			if n, err := fmt.Sscanf(p[i+1:i+3], "%02x", &c); n == 1 && err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// rawAnswer is what judge 1 makes of the bytes a scripted origin sends.
type rawAnswer struct {
	final  strict.Response
	status strict.Status
	fault  strict.Fault
	extra  bool // bytes behind the final response
}

func judgeAnswer(raw []byte, method string) rawAnswer {
	for {
		res, n, status, fault := strict.NextResponse(raw, method)
		if status == strict.Complete && res.Code < 200 && res.Code != 101 {
			raw = raw[n:]
			continue
		}
		return rawAnswer{res, status, fault, status == strict.Complete && n < len(raw)}
	}
}

// response runs one response case: a request, answered by the origin with the raw bytes of the case.
func (l *lane) response(k *kase) []finding {
	request := k.Request
	if request == nil {
		request = []byte("GET /response-case HTTP/1.1\r\nHost: gw.example\r\n\r\n")
	}
	sent, n, _, _ := strict.NextRequest(request, strict.Sent)
	if strings.HasPrefix(k.Name, "upstream/ws-") {
		return l.upgrade(k, request[:n], request[n:])
	}
	request = request[:n]
	judged := judgeAnswer(k.Response, sent.Method)
	then := keepOpen
	switch {
	case strings.Contains(k.Name, "reset"):
		then = resetConn
	case judged.status != strict.Complete, judged.final.UntilClose:
		then = closeConn
	}
	found := l.responseOnce(k, request, sent.Method, judged, then)
	if judged.status == strict.Bad && k.corpus == "upstream-responses.responses" {
		// A backend that sends garbage need not be so kind as to hang up.
		found = append(found, l.responseOnce(k, request, sent.Method, judged, keepOpen)...)
	}
	return found
}

func (l *lane) responseOnce(k *kase, request []byte, method string, judged rawAnswer, then after) (found []finding) {
	target := strings.Fields(string(request[:bytes.IndexByte(request, '\r')]))[1]
	l.origin.do(func() { l.origin.script = &script{target: target, raw: k.Response, then: then} })
	c, err := l.dial()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer c.close()
	c.send(request, len(request), false)
	a, err := c.next(method)
	switch {
	case err == nil:
		found = l.relayed(k, judged, a)
		if len(c.in) > 0 && !a.UntilClose {
			found = append(found, finding{unowned, fmt.Sprintf("bytes behind the answer: %.80q", c.in)})
		}
		if !a.Close {
			if err := l.follow(c); err != nil {
				found = append(found, finding{unowned, "same connection: " + err.Error()})
			}
		}
	case errors.Is(err, errClosed), a.Head: // closed, or broken off inside the body: the client sees that it failed
		if k.binding() && k.Expected == "accept" {
			found = append(found, finding{missing, "not relayed: " + err.Error()})
		}
	default:
		found = append(found, finding{unclean, err.Error()})
	}
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	_, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	// A kept connection that ends without a word gets the request repeated on a new one; it is one request all the same.
	asked := 0
	for _, a := range all {
		if a.complete && a.request.Target == target {
			asked++
		}
	}
	l.forwarded -= max(0, asked-1)
	return append(found, unreused(target, judged, all)...)
}

// binding says whether the verdict of a response case binds; of the others only the invariants do.
func (k *kase) binding() bool { return k.corpus == "upstream-responses.responses" }

// relayed judges the answer that the client got for a scripted response.
func (l *lane) relayed(k *kase, judged rawAnswer, a answer) (found []finding) {
	own := a.Get("PV-Reason") != ""
	switch {
	case a.Code == 101:
		return []finding{{forwarded, "the client got 101 and had not asked for it"}}
	case own && a.Code < 500:
		return []finding{{unclean, fmt.Sprintf("a bad answer of the backend became status %d", a.Code)}}
	case k.binding() && k.Expected == "reject" && (!own || a.Code != 502):
		return []finding{{forwarded, fmt.Sprintf("relayed with status %d (%s), want 502", a.Code, a.Get("PV-Reason"))}}
	case k.binding() && k.Expected == "accept":
		if own || a.Code != judged.final.Code || string(a.Body) != string(judged.final.Body) {
			return []finding{{missing, fmt.Sprintf("got status %d (%s) body %.60q, want %d %.60q", a.Code, a.Get("PV-Reason"), a.Body, judged.final.Code, judged.final.Body)}}
		}
		if got, want := a.Count("Set-Cookie"), judged.final.Count("Set-Cookie"); got != want {
			found = append(found, finding{altered, fmt.Sprintf("%d Set-Cookie fields, want %d", got, want)})
		}
		for _, name := range []string{"Keep-Alive", "X-Internal"} {
			if a.Count(name) > 0 {
				found = append(found, finding{field, "hop-by-hop field relayed: " + name})
			}
		}
	case !own && judged.status == strict.Incomplete && !a.UntilClose:
		return []finding{{altered, "a truncated answer became a complete one"}}
	}
	return found
}

// unreused checks that a connection which carried a scripted response with imperfect framing carried nothing after it,
// and that the request was tried at most twice.
func unreused(target string, judged rawAnswer, all []*arrival) (found []finding) {
	perfect := judged.status == strict.Complete && !judged.extra && !judged.final.UntilClose && !judged.final.Close
	spoilt := map[string]bool{}
	tries := 0
	for _, a := range all {
		id, _, _ := strings.Cut(a.tag, ".")
		if spoilt[id] && !perfect {
			found = append(found, finding{reused, "a further request came on the connection of the bad answer: " + a.request.Target})
		}
		if a.request.Target == target {
			spoilt[id] = true
			tries++
		}
	}
	if tries > 2 {
		found = append(found, finding{reused, fmt.Sprintf("the request was tried %d times", tries)})
	}
	return found
}
