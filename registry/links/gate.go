// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"context"
	"sync"
	"time"
)

// patience is how long a check waits for a host; one that wants to be left alone for longer is asked another time.
const patience = maxDelay + time.Minute

// gates let one request at a time through to each host, and leave a host alone after it. Safe for concurrent use.
type gates struct {
	mu sync.Mutex // guards all
	m  map[string]*gate
}

type gate struct {
	busy chan struct{} // holds one token while a request is under way
	refs int           // who has it or waits for it
	free time.Time     // before which nobody asks
	next time.Duration // how long it is left alone when it says so the next time; 0 = firstHold
}

// maxGates is how many hosts may be remembered beyond their time before they are looked through.
const maxGates = 1024

// maxWaiting is how many may wait for one host: everybody redirects to some, and others are to be asked meanwhile.
const maxWaiting = 4

// pass waits until nobody else asks a host and it may be asked. false: that would be too long.
func (g *gates) pass(ctx context.Context, host string) (bool, error) {
	at := g.enter(host)
	if at == nil {
		return false, nil
	}
	select {
	case at.busy <- struct{}{}:
	case <-ctx.Done():
		g.leave(at)
		return false, ctx.Err()
	}
	g.mu.Lock()
	wait := time.Until(at.free)
	g.mu.Unlock()
	if wait > patience {
		<-at.busy
		g.leave(at)
		return false, nil
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			<-at.busy
			g.leave(at)
			return false, ctx.Err()
		}
	}
	return true, nil
}

// done ends a request. The host is left alone for a while.
func (g *gates) done(host string, pause time.Duration) {
	g.mu.Lock()
	at := g.m[host]
	g.mu.Unlock()
	g.hold(host, time.Now().Add(pause))
	<-at.busy
	g.leave(at)
}

// hold leaves a host alone until a time, or longer.
func (g *gates) hold(host string, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.at(host)
	if until.After(at.free) {
		at.free = until
	}
}

// press leaves a host alone that says that it is asked too much, for as long as it says and longer each time.
func (g *gates) press(host string, retry time.Duration) {
	g.mu.Lock()
	at := g.at(host)
	wait := max(at.next, firstHold)
	at.next = min(2*wait, lastHold)
	g.mu.Unlock()
	g.hold(host, time.Now().Add(min(max(wait, retry), lastHold)))
}

// relieve is told of a host that answers.
func (g *gates) relieve(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at(host).next = 0
}

// freed is when a host may be asked again.
func (g *gates) freed(host string) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.m[host]; at != nil {
		return at.free
	}
	return time.Time{}
}

// enter gives a gate to who may wait there, else nil.
func (g *gates) enter(host string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.at(host)
	if at.refs > maxWaiting {
		return nil
	}
	at.refs++
	return at
}

func (g *gates) leave(at *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at.refs--
}

// at is called with mu held.
func (g *gates) at(host string) *gate {
	if g.m == nil {
		g.m = map[string]*gate{}
	}
	if g.m[host] == nil {
		if len(g.m) >= maxGates {
			now := time.Now()
			for name, at := range g.m {
				if at.refs == 0 && at.free.Before(now) {
					delete(g.m, name)
				}
			}
		}
		g.m[host] = &gate{busy: make(chan struct{}, 1)}
	}
	return g.m[host]
}
