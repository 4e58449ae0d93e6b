// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/bench/entries"
	"github.com/pvgate/pvgate/bench/peers"
)

// benchCase is one kind of request, the same octets for both proxies.
type benchCase struct {
	Name string `json:"name"`
	// What tells a reader what is asked and what each side does for it.
	What string `json:"what"`
	// Conns is the number of client connections.
	Conns int `json:"conns"`
	// Limit is the greatest upper bound of the ratio the project accepts; 0 = none.
	Limit float64 `json:"limit,omitempty"`
	// Default: measured when no case is named.
	Default bool `json:"-"`

	entry  bool   // at the entry URL; else at the backend's own host
	body   int    // octets to POST; 0 = GET
	answer string // last path segment: size of the answer
	length int64  // the same in octets
	close  bool   // a new connection for each request
	tls    bool
	// streams is how many requests are under way at once on each connection of HTTP/2; 0 = HTTP/1.1.
	streams int
	quic    bool // HTTP/3 instead, beside Caddy
}

// In the cases at the backend's host pvgate finds the backend by Host, admits it by
// its rate and its requests in flight, counts, and rewrites the forwarding headers;
// nginx does none of this but the last, on its plainest server. Only where pvgate
// also looks up the pair does nginx, too, take its keys from the path, look up and
// limit. Every doubt is thus to nginx's advantage.
const (
	atHost  = "at the backend's own host; pvgate: registry loaded, limits and counters on; nginx: forwards, nothing else"
	atEntry = "at the entry URL; pvgate: pair looked up in the registry for each request, limits and counters on; nginx: keys by regex, map of 10 000 pairs, limit_req"
)

func allCases() []benchCase {
	return []benchCase{
		{Name: "h1-1k-c64", What: "GET 1 KiB, 64 connections, " + atHost, Conns: 64, Limit: 0.75, Default: true, answer: "1k", length: 1 << 10},
		{Name: "h1-1k-c4", What: "GET 1 KiB, 4 connections, " + atHost, Conns: 4, Limit: 0.9, Default: true, answer: "1k", length: 1 << 10},
		{Name: "h1-1k-entry-post", What: "POST 200 octets, answer 1 KiB, 64 connections, " + atEntry, Conns: 64, Limit: 0.75, Default: true, entry: true, body: 200, answer: "1k", length: 1 << 10},
		{Name: "h1-close", What: "GET 1 KiB, a new connection for each request, 64 at a time, " + atHost, Conns: 64, Limit: 0.9, Default: true, answer: "1k", length: 1 << 10, close: true},
		{Name: "tls-1k-c64", What: "GET 1 KiB over TLS 1.3, 64 connections, " + atHost, Conns: 64, Limit: 0.7, Default: true, answer: "1k", length: 1 << 10, tls: true},
		{Name: "tls-close", What: "GET 1 KiB, a new TLS 1.3 connection with a whole handshake (P-256) for each request, 32 at a time, " + atHost, Conns: 32, Limit: 0.95, Default: true, answer: "1k", length: 1 << 10, close: true, tls: true},
		{Name: "h3-1k", What: "GET 1 KiB over HTTP/3, 16 connections of 32 requests each, beside Caddy; " + atHost, Conns: 16, Limit: 0.25, answer: "1k", length: 1 << 10, tls: true, streams: 32, quic: true},
		{Name: "tls-1m", What: "GET 1 MiB over TLS 1.3, 16 connections, " + atHost, Conns: 16, answer: "1m", length: 1 << 20, tls: true},
		{Name: "h2-1k", What: "GET 1 KiB over HTTP/2 and TLS 1.3, 16 connections with 32 streams each, " + atHost, Conns: 16, Limit: 0.5, Default: true, answer: "1k", length: 1 << 10, tls: true, streams: 32},
		{Name: "h2-16k", What: "GET 16 KiB over HTTP/2 and TLS 1.3, 16 connections with 32 streams each, " + atHost, Conns: 16, Limit: 0.5, Default: true, answer: "16k", length: 16 << 10, tls: true, streams: 32},
		{Name: "h1-post64k", What: "POST 64 KiB, answer 1 KiB, 32 connections, " + atHost, Conns: 32, Limit: 0.95, body: 64 << 10, answer: "1k", length: 1 << 10},
		{Name: "h1-1m", What: "GET 1 MiB, 16 connections, " + atHost, Conns: 16, Limit: 0.5, answer: "1m", length: 1 << 20},
	}
}

func defaultNames() []string {
	var names []string
	for _, c := range allCases() {
		if c.Default {
			names = append(names, c.Name)
		}
	}
	return names
}

func allNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.Name)
	}
	return names
}

// pick reads the -cases flag.
func pick(list string) ([]benchCase, error) {
	want := strings.Split(list, ",")
	switch list {
	case "":
		want = defaultNames()
	case "all":
		want = allNames()
	}
	var picked []benchCase
	for _, name := range want {
		i := slices.IndexFunc(allCases(), func(c benchCase) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: unknown case %q; known: all, %s", errUsage, name, strings.Join(allNames(), ", "))
		}
		picked = append(picked, allCases()[i])
	}
	return picked, nil
}

const (
	pairCount = 10_000
	// Of large bodies so many would only wash out the caches of the load generator,
	// and with large answers and handshakes the pairs are not what costs.
	fewPairs = 200
	large    = 32 << 10
)

// requests are the messages of the case: one for each pair, with six fields as a
// browser sends them.
func (c *benchCase) requests(pairs []entries.Pair) [][]byte {
	if c.body > large || c.length > large || c.tls && c.close {
		pairs = pairs[:min(fewPairs, len(pairs))]
	}
	method, host, prefix := "GET", peers.BackendHost, entries.BasePath
	if c.body > 0 {
		method = "POST"
	}
	if c.entry {
		host, prefix = peers.EntryHost, "/leistung"
	}
	msgs := make([][]byte, len(pairs))
	for i, p := range pairs {
		b := fmt.Appendf(nil, "%s %s/%s/%s/%s HTTP/1.1\r\nHost: %s\r\n", method, prefix, p.Leistung, p.Area, c.answer, host)
		b = append(b, "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"+
			"Accept: application/json, text/plain, */*\r\n"+
			"Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\n"+
			"Accept-Encoding: gzip, deflate, br\r\n"+
			"X-Correlation-Id: 6f1c1c0e-7a39-4a1e-9a0b-2f6f0f3f1a11\r\n"+
			"Cookie: session=0123456789abcdef0123456789abcdef\r\n"...)
		if c.close {
			b = append(b, "Connection: close\r\n"...)
		}
		if c.body > 0 {
			b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", c.body)
		}
		b = append(b, "\r\n"...)
		for range c.body {
			b = append(b, 'x')
		}
		msgs[i] = b
	}
	return msgs
}
