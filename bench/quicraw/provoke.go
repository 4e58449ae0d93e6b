// SPDX-License-Identifier: EUPL-1.2

package quicraw

import (
	"errors"
	"os"
	"time"
)

// Reaction is what a server makes of an offence.
type Reaction int

// Reactions.
const (
	Silent  Reaction = iota // it says nothing at all any more
	Closing                 // it closes the connection
	Ignored                 // it acknowledges the packet and goes on
	Dropped                 // it goes on without having taken the packet
)

func (r Reaction) String() string {
	return [...]string{"silence", "closed", "ignored", "dropped"}[r]
}

// offences is how often something is tried that the server seems to drop: datagrams get lost.
const offences = 3

// Provoke sends something that is not by the book, and behind it a PING at a level, until it is clear how the server takes
// it. offend returns the number of its packet, which has that level's space.
func (c *Conn) Provoke(l Level, offend func() (uint64, error)) (Reaction, error) {
	end := time.Now().Add(giveUp)
	for dropped := 0; time.Now().Before(end); {
		offence, err := offend()
		if err != nil {
			return Silent, err
		}
		ping, err := c.Send(l, AppendPing(nil))
		if err != nil {
			return Silent, err
		}
		for err = nil; err == nil && c.closed == nil && !c.Acknowledged(l, ping); {
			err = c.Receive(resendAfter)
		}
		switch {
		case c.closed != nil:
			return Closing, nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return Silent, err
		case err != nil: // once more
		case c.Acknowledged(l, offence):
			return Ignored, nil
		default:
			if dropped++; dropped == offences {
				return Dropped, nil
			}
		}
	}
	return Silent, nil
}

// Alive reports whether the server still answers.
func (c *Conn) Alive() bool {
	r, err := c.Provoke(OneRTT, func() (uint64, error) { return c.Send(OneRTT, AppendPing(nil)) })
	return err == nil && r == Ignored
}
