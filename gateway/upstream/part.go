// SPDX-License-Identifier: EUPL-1.2

package upstream

// maxParting is how many connections of a loop may have nobody who uses them and still something for their backend.
const maxParting = 256

// part lets a tunnel's connection end by itself whose both sides have said all that they had to: what the backend has not taken
// yet goes out, for as long as it takes some of it. It reports false if there is nothing, or no place for it.
func (c *Conn) part() bool {
	if !c.finish || c.Pending() == 0 || c.pool.cache.parting >= maxParting {
		return false
	}
	c.pool.cache.parting++
	c.parting = true
	c.arm()
	return true
}

// Parting is how many connections end so.
func (c *Cache) Parting() int { return c.parting }

// partLater gives the backend more time if it has taken something.
func (c *Conn) partLater(now int64) {
	if until := c.stream.Moved() + int64(c.pool.timeouts.Idle); now < until {
		c.stream.SetTimer(until)
		return
	}
	c.wire.Reset() // half of what was said must not look like all of it
	c.discard()
}
