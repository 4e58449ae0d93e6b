// SPDX-License-Identifier: EUPL-1.2

// Package pvog looks Leistungen up in the Suchdienst of the Portalverbund Online-Gateway.
//
// [New] makes a client, a lookup.Source. It asks for the descriptions with exactly the asked key at the asked area, and makes
// entries of their links: of onlineServiceLinks services, of sourcePortals pages. The Suchdienst answers with what is
// inherited too; each entry is at the area that its description names, and only those around the asked area count. What
// is not the form that the Suchdienst promises is refused, never taken for "nothing".
package pvog

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/lookup/rest"
	"github.com/pvgate/pvgate/registry/source"
)

// Where the Suchdienst is. Versions of its paths live for some months, each its own.
const (
	DefaultBase = "https://pvog.fitko.net/suchdienst/api"
	DefaultPath = "/v3/servicedescriptions/leikaid"
)

// The bounds of one look-up.
const (
	pageSize   = 50 // the Suchdienst refuses less than 5
	maxPages   = 4
	maxBody    = 4 << 20 // a description has 8 KB with all its texts
	maxEntries = 256
)

// Options of a client.
type Options struct {
	source.Options        // Name, Areas and Policy; Path is made of Base
	Base           string // "" = DefaultBase
	Descriptions   string // path with its version, behind Base; "" = DefaultPath
	ClientID       string // of pvog-sud-api-client-id; "" = the field is not sent
	Agent          string // User-Agent; "" = rest.DefaultAgent
	HTTP           *http.Client
	Now            func() time.Time // nil = time.Now
}

// Client asks the Suchdienst. Safe for concurrent use.
type Client struct {
	o     Options
	areas atomic.Pointer[registry.Areas]
	rest  rest.Client
}

// New makes a client.
func New(o Options) *Client {
	o.Base, o.Descriptions = cmp.Or(o.Base, DefaultBase), cmp.Or(o.Descriptions, DefaultPath)
	o.Path = o.Base + o.Descriptions
	if o.Now == nil {
		o.Now = time.Now
	}
	h := http.Header{"User-Agent": {cmp.Or(o.Agent, rest.DefaultAgent)}, "Accept-Language": {"de"}}
	if o.ClientID != "" {
		h.Set("pvog-sud-api-client-id", o.ClientID)
	}
	c := &Client{o: o, rest: rest.Client{Source: o.Name, HTTP: o.HTTP, Header: h, MaxBody: maxBody, Now: o.Now}}
	c.UseAreas(o.Areas)
	return c
}

// UseAreas changes the areas by which answers are read, from the next look-up on.
func (c *Client) UseAreas(a *registry.Areas) { c.areas.Store(a) }

// Name is the source's.
func (c *Client) Name() string { return c.o.Name }

// Look asks for a key, page by page.
func (c *Client) Look(ctx context.Context, k lookup.Key) (answer lookup.Answer, quota lookup.Quota, err error) {
	now := c.o.Now()
	d := newReading(c.o.Options, c.areas.Load(), k, now)
	for number := 0; ; number++ {
		var p page
		var told lookup.Quota
		told, err = c.rest.Get(ctx, c.address(k, number, now), &p)
		if told.Reset > 0 {
			quota = told
		}
		if err != nil {
			return lookup.Answer{}, quota, err
		}
		more, err := d.take(ctx, number, &p)
		if err != nil {
			return lookup.Answer{}, quota, err
		}
		if !more {
			break
		}
		if err := lookup.Again(ctx, told); err != nil {
			return lookup.Answer{}, quota, err
		}
	}
	answer, err = d.finish(ctx)
	return answer, quota, err
}

// address of one page. What is valid is asked for the day on which it is asked.
func (c *Client) address(k lookup.Key, number int, now time.Time) string {
	q := url.Values{
		"leikaIds": {k.Leistung.String()}, "ars": {k.Area.Padded()}, "validDate": {now.In(registry.Berlin()).Format(time.DateOnly)},
		"page": {strconv.Itoa(number)}, "size": {strconv.Itoa(pageSize)},
	}
	return c.o.Path + "?" + q.Encode()
}

// page is one of Spring's; what is absent is nil, and no zero.
type page struct {
	Content *[]description `json:"content"`
	Number  *int           `json:"number"`
	Last    *bool          `json:"last"`
	Total   *int           `json:"totalElements"`
}

// description is a Leistungsbeschreibung, as far as it is of use.
type description struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Areas         list     `json:"ars"`
	Keys          list     `json:"leikakeys"`
	Organisations list     `json:"organisationIds"`
	Services      []link   `json:"onlineServiceLinks"`
	Portals       []link   `json:"sourcePortals"`
	Details       []detail `json:"details"`
}

type link struct {
	Title string `json:"title"`
	URI   string `json:"uri"`
}

// detail is a text module. That of the Ursprungsportal has links where sourcePortals is absent.
type detail struct {
	Code  code   `json:"code"`
	Links []link `json:"links"`
}

// originPortal is the code of the Ursprungsportal.
const originPortal = "94"

// list is a list of texts; a single one may stand without brackets.
type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*l = make(list, 1)
		return json.Unmarshal(text, &(*l)[0])
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// code is a code of a list, which may be written as a number.
type code string

func (c *code) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(c))
	}
	*c = code(text)
	return nil
}
