// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// pace is the schedule of an open loop: when each request should leave, counted
// from the start of the run. It does not know about answers.
type pace struct {
	gap  float64 // ns
	at   float64 // ns, next request
	rand *rand.Rand
}

func newPace(perSecond float64, poisson bool, seed uint64) pace {
	p := pace{gap: float64(time.Second) / perSecond}
	if poisson {
		p.rand = rand.New(rand.NewPCG(seed, 0x706163652d676170))
	}
	return p
}

// next is when the next request should leave.
func (p *pace) next() time.Duration { return time.Duration(p.at) }

// step goes on to the request after it.
func (p *pace) step() {
	if p.rand == nil {
		p.at += p.gap
		return
	}
	p.at += -math.Log(1-p.rand.Float64()) * p.gap
}

// queue holds the due times of requests that wait for a free connection, in order.
type queue struct {
	ring       []time.Duration
	head, size int
}

func (q *queue) init(most int) { q.ring = make([]time.Duration, most) }

func (q *queue) push(d time.Duration) bool {
	if q.size == len(q.ring) {
		return false
	}
	q.ring[(q.head+q.size)%len(q.ring)] = d
	q.size++
	return true
}

func (q *queue) pop() (time.Duration, bool) {
	if q.size == 0 {
		return 0, false
	}
	d := q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.size--
	return d, true
}

// release sends what is due and sets the alarm for what is next.
func (e *engine) release() error {
	for {
		due := e.pace.next()
		if e.till > 0 && due >= e.till {
			return nil
		}
		if due > e.now && due > e.tick() {
			if e.alarm.set {
				return nil
			}
			return e.alarm.in(due - e.now)
		}
		e.pace.step()
		if id, ok := e.takeFree(); ok {
			e.send(id, due)
		} else if !e.backlog.push(due) && due >= e.from {
			e.res.Missed++
		}
	}
}

func (e *engine) takeFree() (int32, bool) {
	for n := len(e.freeIDs); n > 0; n = len(e.freeIDs) {
		id := e.freeIDs[n-1]
		e.freeIDs = e.freeIDs[:n-1]
		if e.clients[id].state == free {
			return id, true
		}
	}
	return 0, false
}
