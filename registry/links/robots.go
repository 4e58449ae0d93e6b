// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"bufio"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Agent is the product token by which robots.txt knows us.
const Agent = "pvgate-links"

const (
	// maxRobots is how much of a robots.txt is read, and maxRules of what it says to us kept. Who says more is not asked.
	maxRobots = 512 << 10
	maxRules  = 64 << 10
	// maxDelay is the longest Crawl-delay that is obeyed to the letter.
	maxDelay = 5 * time.Minute
	// robotsLife is how long a robots.txt is believed (RFC 9309, section 2.4).
	robotsLife = 24 * time.Hour
)

// rules are what a robots.txt says to us. The zero value allows everything.
type rules struct {
	Allow, Disallow []string      `json:",omitempty"`
	Delay           time.Duration `json:",omitempty"`
	Closed          bool          `json:",omitempty"` // nothing may be asked
}

// readRobots reads a robots.txt (RFC 9309): of the groups that name us, all together; without one, those for everybody.
func readRobots(r io.Reader) rules {
	var ours, all group
	current := []*group(nil)
	starting := false // in the lines that say whom a group is for
	in := bufio.NewReaderSize(io.LimitReader(r, maxRobots), 4096)
	for {
		line, long, err := in.ReadLine()
		text := string(line)
		for long && err == nil { // the beginning of a path refuses no less than all of it
			_, long, err = in.ReadLine()
		}
		if err != nil && len(line) == 0 {
			break
		}
		text, _, _ = strings.Cut(strings.TrimPrefix(text, "\ufeff"), "#")
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch name := strings.ToLower(strings.TrimSpace(name)); name {
		case "user-agent":
			if !starting {
				current, starting = nil, true
			}
			if token := productToken(value); strings.EqualFold(token, Agent) {
				ours.named = true
				current = append(current, &ours)
			} else if value == "*" {
				current = append(current, &all)
			}
		case "allow", "disallow", "crawl-delay":
			starting = false
			for _, g := range current {
				g.add(name, value)
			}
		}
	}
	if ours.named {
		return ours.rules
	}
	return all.rules
}

// productToken is the beginning of a value that can be one.
func productToken(value string) string {
	end := strings.IndexFunc(value, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_')
	})
	if end < 0 {
		return value
	}
	return value[:end]
}

// group is what a robots.txt says to somebody.
type group struct {
	named bool
	size  int
	rules
}

func (g *group) add(name, value string) {
	if name == "crawl-delay" {
		if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
			g.Delay = max(g.Delay, time.Duration(min(s, maxDelay.Seconds())*float64(time.Second)))
		}
		return
	}
	if value == "" { // Disallow: with nothing refuses nothing
		return
	}
	if g.size += len(value); g.size > maxRules {
		g.rules = rules{Closed: true, Delay: g.Delay}
		return
	}
	if g.Closed {
		return
	}
	if name == "allow" {
		g.Allow = append(g.Allow, spelled(value))
	} else {
		g.Disallow = append(g.Disallow, spelled(value))
	}
}

// allows says whether the path and query of an address may be asked: the longest pattern decides, and Allow a tie.
func (r *rules) allows(target string) bool {
	if r.Closed {
		return false
	}
	target = spelled(target)
	longest := func(patterns []string) int {
		n := -1
		for _, p := range patterns {
			if len(p) > n && matches(p, target) {
				n = len(p)
			}
		}
		return n
	}
	return longest(r.Allow) >= longest(r.Disallow)
}

// matches holds a pattern against a text: * is anything, $ at the end the end.
func matches(pattern, text string) bool {
	pattern, whole := strings.CutSuffix(pattern, "$")
	first, rest, more := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "*")
		if !more && whole {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return !whole || text == ""
}

// spelled gives both sides one spelling of what can be spelled in two ways: what is not ASCII is escaped, escapes are in
// capitals, and those that need not be are undone (RFC 9309, section 2.2.2).
func spelled(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if raw, err := url.PathUnescape(s[i : i+3]); err == nil {
				i += 2
				if c = raw[0]; !unreserved(c) {
					escape(&b, c)
					continue
				}
			}
		}
		if c <= ' ' || c >= 0x7f {
			escape(&b, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func escape(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}
