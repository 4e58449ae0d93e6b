// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/message"
)

// What an endpoint is told of the requests at it.

// enter counts the request at the endpoint.
func (c *Conn) enter() {
	c.group.Enter(c.place.at, c.loop.Now())
	c.counted = true
}

// leave says that the request is at the endpoint no more.
func (c *Conn) leave() {
	if c.counted {
		c.counted = false
		c.place.endpoint.Leave()
	}
}

// judge tells what the answer says of the endpoint. One that does not know a method (501) is none the worse for it.
func (c *Conn) judge(status int) {
	now := c.loop.Now()
	if status >= 500 && status != 501 {
		c.group.Fail(c.place.at, endpoint.ServerError, c.began, now)
		return
	}
	c.group.Succeed(c.place.at, c.began, now, now-c.since)
}

// blame tells the endpoint of a fault that is its own. A connection that it closed while it was idle is none.
func (c *Conn) blame(f message.Fault) {
	if c.headSeen || f == message.FaultLost && c.reused && !c.answers {
		return
	}
	why := endpoint.Broken
	switch f {
	case message.FaultTLS, message.FaultCertificate: // of what came before, the dialer has told
		why = endpoint.Unreachable
	case message.FaultLost, message.FaultResponseGrammar, message.FaultResponseHeadTooLarge, message.FaultResponseCoding:
	case message.FaultWriteTimeout, message.FaultResponseTimeout:
		why = endpoint.Silent
	default:
		return
	}
	c.group.Fail(c.place.at, why, c.began, c.loop.Now())
}
