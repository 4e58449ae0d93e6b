// SPDX-License-Identifier: EUPL-1.2

// Package rest asks a web service for a JSON document by one GET, for the clients of look-up sources.
//
// [Client.Get] is all there is. Whatever comes instead of the document is a *source.Refusal with its cause: no answer, one
// too late, another status, another type, something cut or too long, JSON of another form. It asks once, decides nothing
// about the content, and keeps nothing.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

// DefaultAgent is the User-Agent, where the configuration names no other.
const DefaultAgent = "pvgate"

// Client asks one service. Safe for concurrent use.
type Client struct {
	Source  string       // name in the configuration, for refusals
	HTTP    *http.Client // of package fetch, which holds the address policy
	Header  http.Header  // sent with each request beside Accept
	MaxBody int64        // bytes; a longer document is refused
	Now     func() time.Time
}

// Get asks for the document at url and reads it into v, which must not have been used. The quota is what the answer told,
// whatever else it was. Errors are *[source.Refusal] and, when ctx was canceled, its.
func (c *Client) Get(ctx context.Context, url string, v any) (lookup.Quota, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return lookup.Quota{}, c.refuse(url, source.CauseURLPolicy, err, "%v", err)
	}
	r.Header = c.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Accept", "application/json")
	res, err := c.HTTP.Do(r)
	if err != nil {
		return lookup.Quota{}, c.cause(ctx, url, err)
	}
	defer res.Body.Close()
	quota := quotaOf(res.Header)
	if res.StatusCode != http.StatusOK {
		return quota, c.status(url, res, quota)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return quota, c.refuse(url, source.CauseSchema, nil, "the answer is of type %.80q; want application/json", res.Header.Get("Content-Type"))
	}
	if code := res.Header.Get("Content-Encoding"); code != "" && !strings.EqualFold(code, "identity") {
		return quota, c.refuse(url, source.CauseSchema, nil, "the answer is coded (%.40q), though that was not asked for", code)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.MaxBody+1))
	switch {
	case err != nil:
		return quota, c.cause(ctx, url, err)
	case int64(len(body)) > c.MaxBody:
		return quota, c.refuse(url, source.CauseOversized, nil, "the answer is longer than %d KiB", c.MaxBody>>10)
	}
	if err := json.Unmarshal(body, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimRight(body, " \t\r\n"))) {
			return quota, c.refuse(url, source.CauseTruncated, err, "the answer ends inside its JSON")
		}
		return quota, c.refuse(url, source.CauseSchema, err, "the answer cannot be read: %v", err)
	}
	return quota, nil
}

// Refuse says that an answer is not what its service promises.
func (c *Client) Refuse(url string, cause source.Cause, format string, args ...any) *source.Refusal {
	return c.refuse(url, cause, nil, format, args...)
}

func (c *Client) refuse(url string, cause source.Cause, err error, format string, args ...any) *source.Refusal {
	return &source.Refusal{
		Cause: cause, Origin: registry.Origin{Source: c.Source, File: fetch.Shown(url)}, Text: fmt.Sprintf(format, args...), Err: err,
	}
}

// cause is why there is no answer, or not all of it.
func (c *Client) cause(ctx context.Context, url string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return c.refuse(url, source.CauseTimeout, ctx.Err(), "no answer in time")
	case ctx.Err() != nil:
		return fmt.Errorf("look up in %s: %w", c.Source, ctx.Err())
	}
	return fetch.Refuse(c.Source, url, err)
}

// status is an answer that is no document. A service that says when it wants to be asked again is not asked before: by
// Retry-After, or by a quota of which nothing is left.
func (c *Client) status(url string, res *http.Response, q lookup.Quota) *source.Refusal {
	r := c.refuse(url, source.CauseUnreachable, &fetch.Status{Code: res.StatusCode}, "the service answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	r.RetryAfter = fetch.RetryAfter(res.Header.Get("Retry-After"), c.Now())
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		r.Cause = source.CauseRateLimited
		if q.Reset > 0 && q.Remaining == 0 {
			r.RetryAfter = max(r.RetryAfter, q.Reset)
		}
	case http.StatusForbidden:
		r.Text += "; it may refuse the User-Agent, try another: agent"
	case http.StatusNotFound, http.StatusGone:
		r.Text += "; its version may have been switched off, look at path"
	}
	return r
}

// maxReset bounds the window that a service may tell.
const maxReset = 24 * time.Hour

// quotaOf reads the fields of draft-ietf-httpapi-ratelimit-headers before its version 07. Of several windows the first
// counts, which is the one that is nearest to its end of calls.
func quotaOf(h http.Header) lookup.Quota {
	limit, ok1 := count(h.Get("RateLimit-Limit"))
	remaining, ok2 := count(h.Get("RateLimit-Remaining"))
	reset, ok3 := count(h.Get("RateLimit-Reset"))
	if !ok2 || !ok3 {
		return lookup.Quota{}
	}
	if !ok1 {
		limit = remaining
	}
	// A window that ends now is one of which the rest of a second is left.
	return lookup.Quota{Limit: limit, Remaining: remaining, Reset: min(max(time.Duration(reset)*time.Second, time.Second), maxReset)}
}

// count reads a number at the front of a field; what follows are parameters and further windows.
func count(field string) (int, bool) {
	if i := strings.IndexAny(field, ",;"); i >= 0 {
		field = field[:i]
	}
	n, err := strconv.ParseUint(strings.TrimSpace(field), 10, 31)
	return int(n), err == nil
}
