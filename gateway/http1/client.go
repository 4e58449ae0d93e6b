// SPDX-License-Identifier: EUPL-1.2

package http1

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

type clientState uint8

const (
	clientIdle clientState = iota // no request outstanding
	clientHead                    // waiting for a head or in one
	clientBody                    // behind the final head
	clientDone                    // the response is complete
	clientFailed
)

// responseGrace forgives each chunk of a response its framing: an upstream that
// streams a few octets now and then for hours is no attack.
const responseGrace = 16

// Client reads the responses of one upstream connection. Call Init once per
// connection and Start per request. It holds no slice and no buffer. Not safe for
// concurrent use.
type Client struct {
	limits  *Limits
	at      progress
	body    body
	interim int
	state   clientState
	cause   cause
	isHEAD  bool // the request was HEAD: no body whatever the head says
	offered bool // the request offered an upgrade
	spent   bool // the connection must not be used again
}

// Init starts the machine at the beginning of a connection.
func (c *Client) Init(l *Limits) { *c = Client{limits: l} }

// Start makes the machine ready for the response to a request that is about to
// be sent. The connection must be Reusable, or new.
func (c *Client) Start(requestIsHEAD, upgradeOffered bool) {
	if c.state == clientFailed {
		return
	}
	c.state = clientHead
	c.at, c.body, c.interim = progress{}, body{}, 0
	c.isHEAD, c.offered = requestIsHEAD, upgradeOffered
	if c.spent {
		c.fail(causeExtraBytes)
	}
}

// Feed works like Server.Feed. A 1xx response gives Interim (h holds it); a 101,
// if an upgrade was offered, gives HeadDone, and what follows it is Data until
// EOF. Octets nobody asked for are Failed.
func (c *Client) Feed(in []byte, h *message.Head) (n int, ev Event, data []byte) {
	switch c.state {
	case clientHead:
		n, ev = c.head(in, h)
		return n, ev, nil
	case clientBody:
		n, ev, data, bad := c.body.feed(in, c.limits)
		switch ev {
		case End:
			c.state = clientDone
			// Response queue poisoning begins with an octet too many.
			c.spent = c.spent || n < len(in)
		case Failed:
			c.fail(bad)
		}
		return n, ev, data
	case clientFailed:
		return 0, Failed, nil
	default:
		if len(in) == 0 {
			return 0, More, nil
		}
		return 0, c.fail(causeExtraBytes), nil
	}
}

// Raw returns how many octets follow that are the body's as they stand, without framing among them: whoever can pass them
// on without looking may, and says so by Skip. Then comes Feed, also if it has nothing.
func (c *Client) Raw() int64 {
	if c.state == clientBody {
		return c.body.raw()
	}
	return 0
}

// Skip notes that n octets, at most Raw, have been passed on.
func (c *Client) Skip(n int64) { c.body.skip(n) }

func (c *Client) head(in []byte, h *message.Head) (n int, ev Event) {
	if len(in) == 0 {
		return 0, More
	}
	if in[0] != 'H' {
		return 0, c.fail(causeStatusLine) // a TLS alert has no line feed to wait for
	}
	if c.at.waiting(in) {
		return 0, c.moreOr(overrun(c.at.line, len(in)+1, c.limits))
	}
	h.Reset()
	begin := c.at.line
	i := begin
	if i == 0 {
		n, bad := statusLine(in, h)
		if n == 0 {
			return 0, c.moreOr(c.at.stop(in, 0, bad, c.limits))
		}
		if bad := overrun(0, n, c.limits); bad != causeNone {
			return 0, c.fail(bad)
		}
		i = n
	}
	end, bad := c.at.fields(in, i, h, c.limits)
	if end == 0 || bad != causeNone {
		return 0, c.moreOr(bad)
	}
	c.at = progress{}
	if begin > 0 {
		return c.head(in, h) // as in Server.head
	}
	ev, bad = c.finish(h)
	if ev == Failed {
		return 0, c.fail(bad)
	}
	return end, ev
}

// statusLine parses the status line with its CRLF (RFC 9112, section 4). A
// missing space before a missing reason is common and harmless.
func statusLine(b []byte, h *message.Head) (n int, c cause) {
	const prefix = len("HTTP/1.1 200")
	if len(b) < prefix || string(b[:7]) != "HTTP/1." || b[7]-'0' > 1 || b[8] != ' ' {
		return 0, statusCause(b)
	}
	d := [3]byte{b[9] - '0', b[10] - '0', b[11] - '0'}
	h.Minor = b[7] - '0'
	h.Status = int(d[0])*100 + int(d[1])*10 + int(d[2])
	if d[0]-1 > 4 || d[1] > 9 || d[2] > 9 { // 100 to 599
		return 0, statusCause(b)
	}
	n = prefix
	if n < len(b) && b[n] == ' ' {
		n += message.Value.Prefix(b[n:])
	}
	if n+1 >= len(b) || b[n] != '\r' || b[n+1] != '\n' {
		if !strict && n < len(b) && b[n] == '\n' {
			return n + 1, causeNone
		}
		return 0, statusCause(b)
	}
	return n + 2, causeNone
}

// statusCause says what is wrong with the status line b begins with. It looks at
// the whole line and nothing behind it.
func statusCause(b []byte) cause {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return causeNone
	}
	line, crlf := bytes.CutSuffix(b[:nl], []byte("\r"))
	switch {
	case !crlf:
		return causeBareLF
	case bytes.IndexByte(line, '\r') >= 0:
		return causeBareCR
	case len(line) < 9 || string(line[:5]) != "HTTP/" || line[5]-'0' > 9 || line[6] != '.' || line[7]-'0' > 9 || line[8] != ' ':
		return causeStatusLine
	case line[5] != '1' || line[7] > '1':
		return causeVersion
	case len(line) < 12 || line[9]-'1' > 4 || line[10]-'0' > 9 || line[11]-'0' > 9:
		return causeStatusCode
	default:
		return causeStatusLine
	}
}

// finish judges a complete response head and opens its body (RFC 9112, section
// 6.3).
func (c *Client) finish(h *message.Head) (Event, cause) {
	var coding []byte
	var lengths, codings int
	var keepAlive, hasUpgrade, upgradeNamed bool
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.ID {
		case message.ContentLength:
			n, ok := message.ParseLength(f.Value)
			if !ok && strict {
				return Failed, causeBadLength
			}
			h.ContentLength = n
			lengths++
		case message.TransferEncoding:
			coding = f.Value
			codings++
		case message.Connection:
			connectionOptions(f.Value, &h.Close, &keepAlive, &upgradeNamed)
		case message.Upgrade:
			hasUpgrade = true
		}
	}
	if h.Minor == 0 && !keepAlive {
		h.Close = true
	}
	h.Upgrade = hasUpgrade && upgradeNamed
	if bad := framing(h, lengths, codings, coding); bad != causeNone {
		return Failed, bad
	}
	if h.Status < 200 {
		return c.informational(h)
	}
	if h.Close {
		c.spent = true
	}
	c.openBody(h)
	return HeadDone, causeNone
}

func (c *Client) informational(h *message.Head) (Event, cause) {
	switch {
	case h.Status == 101 && !c.offered:
		return Failed, causeStraySwitch
	case h.Status == 101 && (!h.Upgrade || h.Minor == 0): // HTTP/1.0 has no 1xx
		return Failed, causeBadSwitch
	case h.Chunked || h.ContentLength >= 0:
		return Failed, causeInterimFraming
	case h.Status == 101:
		c.body = body{phase: phaseUntilClose}
		c.spent, c.state = true, clientBody
		return HeadDone, causeNone
	}
	if c.interim++; c.interim > c.limits.Interim {
		return Failed, causeInterimFlood
	}
	return Interim, causeNone
}

func (c *Client) openBody(h *message.Head) {
	c.state = clientBody
	switch {
	case h.Status == 204:
		// It has neither body nor length. An upstream that announces one may also
		// send it, so nothing is read from this connection again.
		if h.Chunked || h.ContentLength > 0 {
			c.spent = true
		}
		h.Chunked, h.ContentLength = false, -1
		c.body = body{}
	case c.isHEAD, h.Status == 304:
		c.body = body{}
	case h.Chunked || h.ContentLength >= 0:
		c.body.open(h, responseGrace)
	default:
		c.body = body{phase: phaseUntilClose}
		c.spent = true
	}
}

// EOF tells the machine that the upstream has closed its side: End if that
// completes the response, else Failed.
func (c *Client) EOF() Event {
	c.spent = true
	switch c.state {
	case clientHead:
		return c.fail(causeNoResponse)
	case clientBody:
		if c.body.phase != phaseUntilClose && c.body.phase != phaseDone {
			return c.fail(causeTruncated)
		}
		c.state = clientDone
		return End
	case clientFailed:
		return Failed
	default:
		return End
	}
}

// Reusable reports that the response is complete by its own framing, nothing was
// received beyond it, and the upstream keeps the connection. The caller adds what
// only it can know: that the request was sent completely.
func (c *Client) Reusable() bool { return c.state == clientDone && !c.spent }

func (c *Client) moreOr(bad cause) Event {
	if bad == causeNone {
		return More
	}
	return c.fail(bad)
}

func (c *Client) fail(bad cause) Event {
	c.state, c.cause, c.spent = clientFailed, bad, true
	return Failed
}

// Fault returns what is wrong after Failed.
func (c *Client) Fault() message.Fault { return causes[c.cause].response }

// Cause returns the constant sub-cause for the log after Failed.
func (c *Client) Cause() string { return causes[c.cause].text }
