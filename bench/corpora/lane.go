// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// lane runs cases one after the other through one listener of the gateway to one origin of its own, so that whatever
// arrives there belongs to the case that is running.
type lane struct {
	id       int
	gateway  string
	gateway2 string // that speaks HTTP/2
	from     net.IP
	secure   *tls.Config // nil for plaintext
	origin   *origin
	other    *client // a second client connection, open all the time: the innocent bystander
	seq      int
	// forwarded and begun count the requests that arrived whole, and those of which a head arrived.
	forwarded, begun int
	follows          int
}

// finding is one violated expectation.
type finding struct {
	kind kind
	text string
}

type kind string

const (
	forwarded kind = "forwarded" // something arrived that must not
	missing   kind = "missing"   // something that must arrive did not
	altered   kind = "altered"   // it arrived as something else
	unowned   kind = "unowned"   // an answer that belongs to another request
	unclean   kind = "unclean"   // an answer that is no clean HTTP, or none at all
	field     kind = "field"     // a field that must be there is not, or the other way round
	reused    kind = "reused"    // an upstream connection was used again after imperfect framing
)

func (l *lane) dial() (*client, error) { return dial(l.gateway, l.from, l.secure) }

// follow sends one plain request on c and checks that it gets its own answer.
func (l *lane) follow(c *client) error {
	l.seq++
	target := fmt.Sprintf("%s%d/%d", followPrefix, l.id, l.seq)
	l.follows++
	request := []byte("GET " + target + " HTTP/1.1\r\nHost: gw.example\r\n\r\n")
	c.send(request, len(request), false)
	a, err := c.next("GET")
	if err != nil {
		return err
	}
	if _, rest, _ := strings.Cut(string(a.Body), " "); a.Code != 200 || rest != "GET "+target+"\n" {
		return fmt.Errorf("follow-up %s got status %d %.120q", target, a.Code, a.Body)
	}
	return nil
}

const followPrefix = "/pvgate-follow/"

// fence is a follow-up on the other connection. When its answer is back, the gateway has done all that it does for the
// case before.
func (l *lane) fence() error {
	for range 2 {
		if l.other == nil {
			c, err := l.dial()
			if err != nil {
				return err
			}
			l.other = c
		}
		err := l.follow(l.other)
		if err == nil {
			return nil
		}
		l.other.close()
		l.other = nil
		if !errors.Is(err, errClosed) {
			return err
		}
	}
	return errors.New("the other client connection was closed twice")
}

// collect takes what arrived since the last collect, follow-ups left out, and the faults that judge 1 found in it.
func (l *lane) collect() (cases []*arrival, all []*arrival, faults []string) {
	l.origin.do(func() {
		all, faults = l.origin.arrivals, l.origin.faults
		l.origin.arrivals, l.origin.faults, l.origin.script = nil, nil, nil
	})
	for _, a := range all {
		l.begun++
		if a.complete {
			l.forwarded++
		}
		if !strings.HasPrefix(a.request.Target, followPrefix) {
			cases = append(cases, a)
		}
	}
	return cases, all, faults
}

// request runs one request case and returns what was wrong.
func (l *lane) request(k *kase) []finding {
	found := l.requestOnce(k, k.Raw, false)
	if k.Policy == "reject" || k.Policy == "any" {
		// Once more with a plain request right behind it: it must not be swallowed, nor answered after a refusal.
		l.seq++
		behind := fmt.Sprintf("GET %s%d/%d HTTP/1.1\r\nHost: gw.example\r\n\r\n", followPrefix, l.id, l.seq)
		found = append(found, l.requestOnce(k, append(slices.Clone(k.Raw), behind...), true)...)
	}
	return found
}

func (l *lane) requestOnce(k *kase, raw []byte, followed bool) []finding {
	c, err := l.dial()
	if err != nil {
		return []finding{{unclean, err.Error()}}
	}
	defer c.close()
	judged := strict.Requests(raw, strict.Sent)
	var answers []answer
	var found []finding
	if k.Policy == "accept" {
		answers, found = l.accepted(c, raw, judged)
	} else {
		cut := len(raw)
		if followed {
			cut = len(k.Raw) / 2
		}
		c.send(raw, cut, true)
		answers, found = readAll(c, judged)
		if k.Policy == "reject" || k.Policy == "incomplete" {
			found = append(found, nothingAfterRefusal(answers)...)
		}
	}
	if err := l.fence(); err != nil {
		found = append(found, finding{unowned, "other connection: " + err.Error()})
	}
	arrived, all, faults := l.collect()
	for _, f := range faults {
		found = append(found, finding{forwarded, "judge 1: " + f})
	}
	found = append(found, owned(answers, all)...)
	if k.Policy == "reject" && followed && slices.ContainsFunc(all, func(a *arrival) bool { return bytes.Contains(raw[len(k.Raw):], []byte(" "+a.request.Target+" ")) }) {
		found = append(found, finding{forwarded, "the request behind the refused one arrived"})
	}
	found = append(found, counted(k, judged, arrived, followed)...)
	found = append(found, unaltered(judged, arrived)...)
	return append(found, l.fields(k, arrived)...)
}

// accepted sends a stream that must be served, reads one answer for each request and tries the connection again.
func (l *lane) accepted(c *client, raw []byte, judged strict.Stream) (answers []answer, found []finding) {
	c.send(raw, len(raw), false)
	open := true
	for i, req := range judged.Requests {
		a, err := c.next(req.Method)
		if err != nil {
			return answers, append(found, finding{missing, fmt.Sprintf("request %d: %v", i+1, err)})
		}
		answers = append(answers, a)
		open = !a.Close
		if a.tag == "" {
			found = append(found, finding{missing, fmt.Sprintf("request %d: answered by the gateway: %d %s %.200q", i+1, a.Code, a.Get("PV-Reason"), a.Body)})
		}
	}
	switch {
	case judged.Closed || !open:
		if err := c.rest(); err != nil {
			found = append(found, finding{unclean, "after the last answer: " + err.Error()})
		}
	case judged.Rest == strict.Complete && len(judged.Requests) > 0:
		if err := l.follow(c); err != nil {
			found = append(found, finding{unowned, "same connection: " + err.Error()})
		}
	}
	return answers, found
}

// readAll reads answers until the gateway closes.
func readAll(c *client, judged strict.Stream) (answers []answer, found []finding) {
	for i := 0; ; i++ {
		method := "GET"
		if i < len(judged.Requests) {
			method = judged.Requests[i].Method
		} else if judged.Partial.Method != "" {
			method = judged.Partial.Method
		}
		a, err := c.next(method)
		if errors.Is(err, errClosed) {
			return answers, found
		}
		if err != nil {
			return answers, append(found, finding{unclean, fmt.Sprintf("answer %d: %v", i+1, err)})
		}
		answers = append(answers, a)
		if method == "HEAD" && judged.Rest == strict.Bad && a.tag == "" && a.Close && a.Length == int64(len(c.in)) {
			// Of a broken head that came in pieces the gateway may not know the method any more; it closes.
			c.in = nil
		}
	}
}

// nothingAfterRefusal checks that a refusal is the last answer and says that the connection closes.
func nothingAfterRefusal(answers []answer) []finding {
	for i, a := range answers {
		if a.tag != "" {
			continue
		}
		if i < len(answers)-1 {
			return []finding{{unowned, fmt.Sprintf("%d answers after the refusal %d", len(answers)-1-i, a.Code)}}
		}
		if a.Code < 400 {
			return []finding{{unowned, fmt.Sprintf("refused with status %d", a.Code)}}
		}
	}
	return nil
}

// owned checks that each answer from the origin is that of the request in its place.
func owned(answers []answer, arrived []*arrival) (found []finding) {
	last := -1
	for i, a := range answers {
		if a.tag == "" {
			continue
		}
		at := slices.IndexFunc(arrived, func(x *arrival) bool { return x.tag == a.tag })
		if at < 0 {
			found = append(found, finding{unowned, fmt.Sprintf("answer %d has the tag %s, which no request of this case has", i+1, a.tag)})
			continue
		}
		x := arrived[at]
		if want := x.tag + " " + x.request.Method + " " + x.request.Target + "\n"; x.request.Method != "HEAD" && string(a.Body) != want {
			found = append(found, finding{unowned, fmt.Sprintf("answer %d: got %q, want %q", i+1, a.Body, want)})
		}
		if at < last {
			found = append(found, finding{unowned, fmt.Sprintf("answer %d is out of order", i+1)})
		}
		last = at
	}
	return found
}

// counted checks how many requests arrived whole.
func counted(k *kase, judged strict.Stream, arrived []*arrival, followed bool) []finding {
	whole := 0
	for _, a := range arrived {
		if a.complete {
			whole++
		}
	}
	if k.Policy == mutated && whole > len(judged.Requests) {
		return []finding{{forwarded, fmt.Sprintf("%d requests arrived, judge 1 reads %d: %s in %.300q", whole, len(judged.Requests), describe(arrived), k.Raw)}}
	}
	if k.NOK == nil {
		return nil
	}
	most := *k.NOK
	if followed {
		most = max(most, len(judged.Requests)) // the request behind may be the rest of the last one
	}
	switch k.Policy {
	case "accept":
		if whole < most {
			return []finding{{missing, fmt.Sprintf("%d of %d requests arrived", whole, most)}}
		}
	case "reject", "incomplete":
		// Only what comes before the offending message may arrive. Where no grammar refuses it (it is too long, or its
		// method unwanted), the offending message is the last.
		if judged.Rest == strict.Bad || k.Policy == "incomplete" {
			most = min(most, len(judged.Requests))
		} else if followed && !judged.Closed {
			most = max(0, len(judged.Requests)-2)
		} else {
			most = max(0, len(judged.Requests)-1)
		}
	}
	if whole > most {
		return []finding{{forwarded, fmt.Sprintf("%d requests arrived, at most %d may: %s", whole, most, describe(arrived))}}
	}
	return nil
}

func describe(arrived []*arrival) string {
	var b strings.Builder
	for _, a := range arrived {
		fmt.Fprintf(&b, "[%s %.60q whole=%v body=%.40q] ", a.request.Method, a.request.Target, a.complete, a.request.Body)
	}
	return b.String()
}

// unaltered checks that each request that arrived is one that was sent, as judge 1 read it, and that they are in order:
// method, body, and the path where it has one spelling only. The gateway may have answered others itself.
func unaltered(judged strict.Stream, arrived []*arrival) (found []finding) {
	rest := judged.Requests
	for _, a := range arrived {
		if !a.complete {
			continue
		}
		at := slices.IndexFunc(rest, func(sent strict.Request) bool {
			return sent.Method == a.request.Method && string(sent.Body) == string(a.request.Body) &&
				(!isPlain(sent.Target) || sent.Target == a.request.Target)
		})
		if at < 0 {
			if judged.Rest != strict.Bad || len(rest) > 0 {
				found = append(found, finding{altered, "no request was sent as it arrived: " + describe([]*arrival{a})})
			}
			continue
		}
		rest = rest[at+1:]
	}
	return found
}

// isPlain says that a target has one spelling only.
func isPlain(target string) bool {
	if target[0] != '/' || strings.Contains(target, "/.") {
		return false
	}
	for i := range len(target) {
		c := target[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("/-_.~?=&", c) >= 0) {
			return false
		}
	}
	return true
}

// fields checks what a case says of the fields that arrive: "name: value", "name", or a remark in angle brackets.
func (l *lane) fields(k *kase, arrived []*arrival) (found []finding) {
	if len(arrived) == 0 {
		return nil
	}
	req := &arrived[0].request
	has := func(want string) bool {
		name, value, valued := strings.Cut(want, ": ")
		return slices.ContainsFunc(req.Fields, func(f strict.Field) bool {
			return strings.EqualFold(f.Name, name) && (!valued || strings.EqualFold(f.Value, value))
		})
	}
	for _, want := range k.Have {
		if !strings.Contains(want, "<") && !has(want) {
			found = append(found, finding{field, "missing at the origin: " + want})
		}
	}
	for _, not := range k.HaveNot {
		if !strings.Contains(not, "<") && has(not) {
			found = append(found, finding{field, "must not reach the origin: " + not})
		}
	}
	if slices.ContainsFunc(append(slices.Clone(k.Have), k.HaveNot...), func(s string) bool { return strings.Contains(s, "<") }) {
		found = append(found, l.identity(k, req)...)
	}
	return found
}

// identity checks that no field that says who the client is, or how it came, arrives as the client wrote it.
func (l *lane) identity(k *kase, req *strict.Request) (found []finding) {
	judged := strict.Requests(k.Raw, strict.Sent)
	if len(judged.Requests) == 0 {
		return nil
	}
	for _, f := range judged.Requests[0].Fields {
		switch strings.ToLower(f.Name) {
		case "host", "connection":
			continue
		case "x-forwarded-proto":
			if l.secure != nil && f.Value == "https" {
				continue // the truth, this time
			}
		}
		if f.Value != "" && req.Count(f.Name) == 1 && req.Get(f.Name) == f.Value {
			found = append(found, finding{field, fmt.Sprintf("the client's own value reaches the origin: %s: %.60s", f.Name, f.Value)})
		}
	}
	return found
}
