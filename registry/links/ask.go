// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxRedirects = 5
	// maxRequests is how many requests may be under way at once, and maxChecks how many checks, which wait most of the time.
	maxRequests = 16
	maxChecks   = 64
	// A host that says that it is asked too much is left alone for so long at first, twice as long the next time.
	firstHold = time.Minute
	lastHold  = 7 * 24 * time.Hour
)

// target is an address to be asked.
type target struct {
	url  string
	near bool // its source may name private addresses
}

// verdict is what a check says. With postponed it says nothing: the host wants to be left alone.
type verdict struct {
	Result    Result
	Code      int    // status; 0 = there is none
	To        string // where it is now
	Moved     bool   // for good, as all redirects on the way say
	postponed bool
}

// errPostponed is a host that is not asked now.
var errPostponed = errors.New("the host wants to be left alone")

// asker checks single addresses. Safe for concurrent use.
type asker struct {
	ask      asking
	pause    time.Duration // between two requests to a host, at least
	limit    *rate.Limiter // of all requests
	slots    chan struct{}
	gates    gates
	robots   *store
	requests atomic.Uint64
}

// hostOf is by whom requests are counted: all ports and schemes of a name are one.
func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// check asks an address and follows its redirects.
func (a *asker) check(ctx context.Context, t target) verdict {
	u, err := url.Parse(t.url)
	if err != nil {
		return verdict{Result: Unreachable}
	}
	u.Fragment, u.RawFragment = "", ""
	first, moved, code := hostOf(u), true, 0
	seen := []string{u.String()}
	for {
		// Who may name private addresses may do so in the registry, not by way of somebody else's redirect.
		v, next := a.visit(ctx, u, t.near && hostOf(u) == first)
		switch {
		case next == nil && len(seen) > 1 && v.Result == OK:
			return verdict{Result: Redirected, Code: code, To: u.String(), Moved: moved}
		case v.postponed && len(seen) > 1 && ctx.Err() == nil: // many redirect there; another time
			return verdict{Result: Redirected, Code: code, To: u.String(), Moved: moved}
		case next == nil:
			if len(seen) > 1 {
				v.To = u.String()
			}
			return v
		case len(seen) > maxRedirects, slices.Contains(seen, next.String()), next.Scheme != "https" && next.Scheme != "http", next.Host == "":
			return verdict{Result: RedirectFault, Code: v.Code, To: clip(next.String())}
		}
		if len(seen) == 1 {
			code = v.Code
		}
		moved = moved && (v.Code == http.StatusMovedPermanently || v.Code == http.StatusPermanentRedirect)
		u, seen = next, append(seen, next.String())
	}
}

// clip bounds an address that somebody else has made.
func clip(s string) string { return s[:min(len(s), 2048)] }

// visit asks one address; next is where it leads to.
func (a *asker) visit(ctx context.Context, u *url.URL, near bool) (v verdict, next *url.URL) {
	said, err := a.rulesOf(ctx, u, near)
	if err != nil {
		return a.failed(err), nil
	}
	if !said.allows(u.RequestURI()) {
		return verdict{Result: Robots}, nil
	}
	host := hostOf(u)
	got, err := a.send(ctx, host, said.Delay, question{method: http.MethodHead, url: u.String(), near: near})
	if err == nil && got.status >= 400 && !pressed(got.status) || err != nil && !errors.Is(err, errPostponed) && unsaid(err) {
		// Some servers do not know HEAD, or think that it is somebody else's page.
		got, err = a.send(ctx, host, said.Delay, question{method: http.MethodGet, url: u.String(), near: near})
	}
	if err != nil {
		return a.failed(err), nil
	}
	switch got.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if next, err = u.Parse(got.location); err != nil || next.User != nil || got.location == "" {
			return verdict{Result: RedirectFault, Code: got.status}, nil
		}
		next.Fragment, next.RawFragment = "", ""
		return verdict{Code: got.status}, next
	}
	return verdict{Result: meaning(got.status), Code: got.status}, nil
}

func (a *asker) failed(err error) verdict {
	if errors.Is(err, errPostponed) || errors.Is(err, context.Canceled) {
		return verdict{postponed: true}
	}
	return verdict{Result: failure(err)}
}

// meaning is the result that a status means.
func meaning(status int) Result {
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return Gone
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired, status == http.StatusTooManyRequests:
		return Denied
	case status == http.StatusRequestedRangeNotSatisfiable: // it is there, and empty
		return OK
	case status/100 == 4:
		return ClientError
	case status/100 >= 5:
		return ServerError
	}
	return OK
}

// pressed says whether a status asks to be asked less.
func pressed(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// send sends one request, when the host and the rate allow it.
func (a *asker) send(ctx context.Context, host string, delay time.Duration, q question) (answer, error) {
	if ok, err := a.gates.pass(ctx, host); err != nil {
		return answer{}, err
	} else if !ok {
		return answer{}, errPostponed
	}
	defer func() { a.gates.done(host, max(a.pause, delay)) }()
	if err := a.limit.Wait(ctx); err != nil {
		return answer{}, errPostponed // only the end of ctx
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	a.requests.Add(1)
	got, err := a.ask(ctx, q)
	switch {
	case ctx.Err() != nil: // the process ends: whatever the answer would have been
		return answer{}, errPostponed
	case err == nil && pressed(got.status):
		a.gates.press(host, got.retry)
	case err == nil:
		a.gates.relieve(host)
	}
	return got, err
}

// rulesOf is what the robots.txt beside an address says. An error is as if the address had been asked.
func (a *asker) rulesOf(ctx context.Context, u *url.URL, near bool) (rules, error) {
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if said, ok := a.robots.rules(origin, time.Now()); ok {
		return said, nil
	}
	at, said := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/robots.txt"}, rules{}
	for range maxRedirects + 1 { // RFC 9309, section 2.3.1.2; after too many there is none
		got, err := a.send(ctx, hostOf(at), 0, question{
			method: http.MethodGet, url: at.String(), near: near && hostOf(at) == hostOf(u), body: func(r io.Reader) { said = readRobots(r) },
		})
		if err != nil {
			if hostOf(at) != hostOf(u) { // of somebody else, who says nothing of this one
				return rules{Closed: true}, nil
			}
			return said, err
		}
		if got.status == http.StatusTooManyRequests {
			return said, errPostponed
		}
		if got.status >= 500 { // section 2.3.1.4; the next time it may be there again
			return rules{Closed: true}, nil
		}
		next, err := at.Parse(got.location)
		if got.status/100 != 3 || got.location == "" || err != nil || next.Scheme != "https" && next.Scheme != "http" || next.User != nil || next.Host == "" {
			break
		}
		at = next
	}
	a.gates.hold(hostOf(u), time.Now().Add(said.Delay))
	return said, a.robots.keepRules(origin, said, time.Now())
}
