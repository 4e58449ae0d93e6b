// SPDX-License-Identifier: EUPL-1.2

// Package fitconnect looks up in FIT-Connect's Routing API 2.0 to which destination a Leistung at an area is sent, and who
// runs it.
//
// [New] makes a client, a lookup.Source. Its answers are contexts and never entries: a destination adds to a route and is
// none (R15). A destination counts only with its signature (a JWS of RFC 7515, PS512), made with one of the configured
// [Keys], for this destination, this Leistung and an area around the asked one. Who is responsible nowhere is told by a
// count of 0; everything else that is no list of destinations is refused.
package fitconnect

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/lookup/rest"
	"github.com/pvgate/pvgate/registry/source"
)

// Where the Routing API is.
const (
	DefaultBase = "https://routing-api-prod.fit-connect.fitko.net"
	DefaultPath = "/v1/routes"
)

// The bounds of one look-up.
const (
	pageSize     = 100 // the API's own default; it allows 1 to 500
	maxPages     = 2
	maxBody      = 8 << 20 // a route may have 500 contacts
	maxAuthority = 300     // bytes of a name
)

// Options of a client.
type Options struct {
	Name   string // of the source
	Base   string // "" = DefaultBase
	Routes string // path with its version, behind Base; "" = DefaultPath
	Agent  string // User-Agent, of which some get a 403; "" = rest.DefaultAgent
	Areas  *registry.Areas
	Keys   Keys               // who may sign
	Policy registry.URLPolicy // of the authorities' addresses
	HTTP   *http.Client
	Now    func() time.Time // nil = time.Now
}

// Client asks the Routing API. Safe for concurrent use.
type Client struct {
	o     Options
	areas atomic.Pointer[registry.Areas]
	rest  rest.Client
}

// New makes a client.
func New(o Options) *Client {
	o.Base, o.Routes = cmp.Or(o.Base, DefaultBase), cmp.Or(o.Routes, DefaultPath)
	if o.Now == nil {
		o.Now = time.Now
	}
	h := http.Header{"User-Agent": {cmp.Or(o.Agent, rest.DefaultAgent)}}
	c := &Client{o: o, rest: rest.Client{Source: o.Name, HTTP: o.HTTP, Header: h, MaxBody: maxBody, Now: o.Now}}
	c.UseAreas(o.Areas)
	return c
}

// UseAreas changes the areas by which answers are read, from the next look-up on.
func (c *Client) UseAreas(a *registry.Areas) { c.areas.Store(a) }

// Name is the source's.
func (c *Client) Name() string { return c.o.Name }

// Look asks for a key, page by page. Of a local Leistung, or for the whole Bund, the Routing API knows nothing, and is not
// asked.
func (c *Client) Look(ctx context.Context, k lookup.Key) (answer lookup.Answer, quota lookup.Quota, err error) {
	if !k.Leistung.Federal() || k.Area.IsBund() {
		return lookup.Answer{}, lookup.Quota{}, nil
	}
	var all []route
	for number := 0; ; number++ {
		var p page
		var told lookup.Quota
		told, err = c.rest.Get(ctx, c.address(k, len(all)), &p)
		if told.Reset > 0 {
			quota = told
		}
		if err != nil {
			return lookup.Answer{}, quota, err
		}
		if err = c.check(&p, len(all)); err != nil {
			return lookup.Answer{}, quota, err
		}
		all = append(all, *p.Routes...)
		if len(all) == *p.Total {
			break
		}
		if number+1 == maxPages {
			return lookup.Answer{}, quota, c.refuse(source.CauseOversized, "%d destinations for one key, more than %d", *p.Total, maxPages*pageSize)
		}
	}
	answer.Contexts, err = c.contexts(k, all)
	return answer, quota, err
}

// address of the routes from offset on. The area is named by exactly one parameter.
func (c *Client) address(k lookup.Key, offset int) string {
	q := url.Values{
		"leikaKey": {k.Leistung.String()}, "ars": {k.Area.String()}, "offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(pageSize)},
	}
	return c.o.Base + c.o.Routes + "?" + q.Encode()
}

// page is a route-result; what is absent is nil, and no zero.
type page struct {
	Count  *int     `json:"count"`
	Offset *int     `json:"offset"`
	Total  *int     `json:"totalCount"`
	Routes *[]route `json:"routes"`
}

// route is a Zustellpunkt, as far as it is of use.
type route struct {
	ID            string `json:"destinationId"`
	Signature     string `json:"destinationSignature"`
	Name          string `json:"destinationName"`
	ShortName     string `json:"destinationShortName"`
	Privacy       string `json:"privacyPolicyUrl"`
	Imprint       string `json:"imprintUrl"`
	Accessibility string `json:"accessibilityUrl"`
}

// check holds a page to what was asked for.
func (c *Client) check(p *page, offset int) error {
	switch {
	case p.Count == nil || p.Offset == nil || p.Total == nil || p.Routes == nil:
		return c.refuse(source.CauseSchema, "the answer does not say count, offset, totalCount and routes")
	case *p.Count != len(*p.Routes) || *p.Count > pageSize:
		return c.refuse(source.CauseSchema, "%d destinations came, where count says %d and %d were asked for", len(*p.Routes), *p.Count, pageSize)
	case *p.Offset != offset:
		return c.refuse(source.CauseSchema, "destinations from %d on were asked for, those from %d on came", offset, *p.Offset)
	case *p.Total < offset+*p.Count || *p.Count == 0 && *p.Total > offset:
		return c.refuse(source.CauseTruncated, "%d destinations came, where totalCount says %d", offset+*p.Count, *p.Total)
	}
	return nil
}

func (c *Client) refuse(cause source.Cause, format string, args ...any) *source.Refusal {
	return c.rest.Refuse(c.o.Base+c.o.Routes, cause, format, args...)
}

// contexts are the destinations that are signed for the key. Others cost themselves; if no other was told, the answer.
func (c *Client) contexts(k lookup.Key, all []route) ([]lookup.Context, error) {
	var (
		found []lookup.Context
		why   error
	)
	for i := range all {
		r := &all[i]
		if !isUUID(r.ID) {
			why = errors.New("a destinationId is no UUID")
			continue
		}
		area, err := c.o.Keys.verify(r.Signature, claim{r.ID, k, c.areas.Load(), c.o.Now()})
		if err != nil {
			why = err
			continue
		}
		found = append(found, lookup.Context{
			DestinationID: r.ID, Authority: cmp.Or(oneLine(r.Name), oneLine(r.ShortName)), Imprint: c.public(r.Imprint),
			Privacy: c.public(r.Privacy), Accessibility: c.public(r.Accessibility), Area: area,
			Origin: registry.Origin{Source: c.o.Name, File: c.o.Base + c.o.Routes, Line: int32(i + 1)},
		})
	}
	if len(found) == 0 && why != nil {
		return nil, c.refuse(source.CauseSignature, "no destination is signed for what was asked: %v", why)
	}
	return found, nil
}

// isUUID says whether text has the form of a UUID (RFC 9562, section 4), with its hyphens or without any.
func isUUID(text string) bool {
	if len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' {
		text = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	}
	return len(text) == 32 && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// public is an address that everybody may see; what the policy refuses is left out.
func (c *Client) public(address string) string {
	if c.o.Policy.Check(address) != "" {
		return ""
	}
	return address
}

// oneLine is a name without line breaks and other control characters.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(text) > maxAuthority {
		text = strings.ToValidUTF8(text[:maxAuthority], "")
	}
	return text
}
