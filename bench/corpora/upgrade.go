// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// said is how much goes through a tunnel each way, in octets.
const said = 100_000

// upgrade runs a case in which a client asks for another protocol, with what it sends behind that: a tunnel begins with a
// fitting 101 and with nothing else, what is sent too early is held until then, and without one it is the next request.
func (l *lane) upgrade(k *kase, request, behind []byte) (found []finding) {
	sent, _, _, _ := strict.NextRequest(request, strict.Sent)
	head, early, _ := bytes.Cut(k.Response, []byte("\r\n\r\n"))
	switched := bytes.HasPrefix(head, []byte("HTTP/1.1 101 "))
	tunnel := switched && k.Expected == "accept"
	l.origin.do(func() {
		l.origin.tunnelled = nil
		l.origin.script = &script{target: sent.Target, raw: k.Response, tunnel: tunnel}
	})
	c, err := l.dial()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer c.close()
	c.send(append(bytes.Clone(request), behind...), len(request)+len(behind), false)
	switch a, err := c.next(sent.Method); {
	case err != nil:
		found = append(found, finding{unclean, err.Error()})
	case tunnel:
		found = append(found, l.throughTunnel(c, a, behind, early)...)
	case switched:
		if a.Code != 502 || a.Get("PV-Reason") == "" {
			found = append(found, finding{forwarded, fmt.Sprintf("got status %d (%s), want 502", a.Code, a.Get("PV-Reason"))})
		}
		if err := l.follow(c); err != nil {
			found = append(found, finding{unowned, "same connection: " + err.Error()})
		}
	default:
		found = append(found, l.nextRequest(c, a, judgeAnswer(k.Response, sent.Method), behind)...)
	}
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	_, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	return append(found, alone(sent.Target, all)...)
}

// nextRequest checks that the answer is the backend's, and that what comes behind the refused wish is asked anew.
func (l *lane) nextRequest(c *client, a answer, judged rawAnswer, behind []byte) (found []finding) {
	if a.Code != judged.final.Code || string(a.Body) != string(judged.final.Body) || a.Count("Upgrade") > 0 {
		found = append(found, finding{altered, fmt.Sprintf("got status %d body %.60q, want %d %.60q", a.Code, a.Body, judged.final.Code, judged.final.Body)})
	}
	next, _, status, _ := strict.NextRequest(behind, strict.Sent)
	if status != strict.Complete {
		return append(found, finding{unclean, "the case has no second request"})
	}
	second, err := c.next(next.Method)
	if _, rest, _ := strings.Cut(string(second.Body), " "); err != nil || second.tag == "" || rest != next.Method+" "+next.Target+"\n" {
		found = append(found, finding{unowned, fmt.Sprintf("the second request got status %d %.80q, %v", second.Code, second.Body, err)})
	}
	return found
}

// throughTunnel sees that octets pass as they are: those that came with the 101 or before it, and many more.
func (l *lane) throughTunnel(c *client, a answer, behind, early []byte) (found []finding) {
	if a.Code != 101 || a.Get("Upgrade") != "websocket" || a.Get("Connection") != "Upgrade" {
		return []finding{{missing, fmt.Sprintf("got status %d (%s), Upgrade %q, Connection %q: no tunnel", a.Code, a.Get("PV-Reason"), a.Get("Upgrade"), a.Get("Connection"))}}
	}
	up, down := make([]byte, said), make([]byte, said)
	for i := range up {
		up[i], down[i] = byte(rand.Uint32()), byte(rand.Uint32())
	}
	c.send(up, len(up), false)
	l.origin.do(func() {
		for _, p := range l.origin.peers {
			if p.tunnel {
				l.origin.send(p, down)
			}
		}
	})
	for want := len(early) + len(down); len(c.in) < want; {
		if ok, _ := c.fill(); !ok {
			break
		}
	}
	if !bytes.Equal(c.in, append(bytes.Clone(early), down...)) {
		found = append(found, finding{altered, fmt.Sprintf("the client got %d octets through the tunnel, not the %d that were sent", len(c.in), len(early)+len(down))})
	}
	want := append(bytes.Clone(behind), up...)
	got := l.arrived(len(want))
	if !bytes.Equal(got, want) {
		found = append(found, finding{altered, fmt.Sprintf("the origin got %d octets through the tunnel, not the %d that were sent", len(got), len(want))})
	}
	c.in = nil
	return found
}

// arrived waits until n octets have come through the tunnel.
func (l *lane) arrived(n int) (got []byte) {
	for end := time.Now().Add(patience); len(got) < n && time.Now().Before(end); {
		l.origin.do(func() { got = bytes.Clone(l.origin.tunnelled) })
		if len(got) < n {
			time.Sleep(time.Millisecond)
		}
	}
	return got
}

// alone checks that the connection which carried a wish for another protocol carried nothing else.
func alone(target string, all []*arrival) (found []finding) {
	asked := map[string]bool{}
	for _, a := range all {
		if a.request.Target == target && a.request.Count("Upgrade") > 0 {
			id, _, _ := strings.Cut(a.tag, ".")
			asked[id] = true
		}
	}
	for _, a := range all {
		if id, _, _ := strings.Cut(a.tag, "."); asked[id] && a.request.Target != target {
			found = append(found, finding{reused, "shares the connection of the wish: " + a.request.Target})
		}
	}
	return found
}
