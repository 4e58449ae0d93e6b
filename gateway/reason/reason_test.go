// SPDX-License-Identifier: EUPL-1.2

package reason

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryCodeIsCompleteAndUnique(t *testing.T) {
	t.Parallel()
	statuses := []int{300, 303, 400, 403, 404, 405, 408, 410, 413, 414, 417, 421, 429, 431, 499, 500, 501, 502, 503, 504, 505, 508}
	seen := map[string]Code{}
	for _, c := range All() {
		name := c.String()
		if other, ok := seen[name]; ok {
			t.Errorf("%d and %d are both called %q", other, c, name)
		}
		seen[name] = c
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("code %d is called %q, want lower-case words joined by _", c, name)
		}
		if got, ok := Parse(name); !ok || got != c {
			t.Errorf("Parse(%q) = %v, %v, want %v", name, got, ok, c)
		}
		if c != ResponseIncomplete && !slices.Contains(statuses, c.Status()) {
			t.Errorf("%v has status %d, which the contract does not use", c, c.Status())
		}
		for _, l := range []Lang{German, English} {
			text := c.Text(l)
			if text.Title == "" || !strings.HasSuffix(text.Paragraph, ".") {
				t.Errorf("%v in %v: %+v, want a title and sentences", c, l, text)
			}
			if strings.ContainsAny(text.Title+text.Paragraph, "<>&\"'") {
				t.Errorf("%v in %v holds a character that HTML would escape", c, l)
			}
		}
		for _, member := range c.Tells() {
			if member == "" {
				t.Errorf("%v tells an empty member", c)
			}
		}
	}
	if len(seen) != Count-1 {
		t.Errorf("%d codes, want %d", len(seen), Count-1)
	}
}

func TestStatusesAndFaultsFollowTheContract(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code   Code
		status int
		fault  string
		err    string
	}{
		{Handover, 303, "none", ""},
		{BadRequest, 400, "client", "http_request_error"},
		{HeadTooLarge, 431, "client", "http_request_error"},
		{Misdirected, 421, "client", "http_request_error"},
		{SenderUnknown, 403, "sender", "http_request_denied"},
		{Ambiguous, 300, "registry", ""},
		{NotAnApplication, 404, "none", ""},
		{NotJoined, 404, "registry", "destination_not_found"},
		{Gone, 410, "operator", ""},
		{TargetRefused, 502, "registry", "proxy_configuration_error"},
		{SenderLimited, 429, "sender", "http_request_denied"},
		{BackendLimited, 503, "backend", "connection_limit_reached"},
		{DNSTimeout, 504, "backend", "dns_timeout"},
		{ResponseIncomplete, 0, "backend", "http_response_incomplete"},
		{ClientGone, 499, "client", ""},
		{LoopDetected, 508, "operator", "proxy_loop_detected"},
		{Draining, 503, "gateway", "proxy_internal_response"},
		{Internal, 500, "gateway", "proxy_internal_error"},
	}
	for _, tt := range tests {
		if got := tt.code.Status(); got != tt.status {
			t.Errorf("%v: status %d, want %d", tt.code, got, tt.status)
		}
		if got := tt.code.Fault().String(); got != tt.fault {
			t.Errorf("%v: fault %s, want %s", tt.code, got, tt.fault)
		}
		if got := tt.code.ProxyStatusError(); got != tt.err {
			t.Errorf("%v: error %q, want %q", tt.code, got, tt.err)
		}
	}
}

func TestACodeOutsideTheListReadsAsInternal(t *testing.T) {
	t.Parallel()
	c := Code(255)
	if c.Status() != 500 || c.String() != "internal" || c.Title(English) != Internal.Title(English) {
		t.Errorf("Code(255) = %d %s %s, want 500 internal", c.Status(), c, c.Title(English))
	}
	if _, ok := Parse("none"); ok {
		t.Error("Parse(none) found a code; nothing may ask for None by name")
	}
}

func TestSenderLimitedBlamesThePortalAndNotTheCitizen(t *testing.T) {
	t.Parallel()
	text := SenderLimited.Text(German).Paragraph
	if !strings.HasPrefix(text, "Das Portal") || !strings.Contains(text, " hat ") || strings.Contains(text, "Sie haben") {
		t.Errorf("sender_limited reads %q", text)
	}
}

func TestOnlyTheRegistrysNoesAreCacheable(t *testing.T) {
	t.Parallel()
	for _, c := range All() {
		s := c.Status()
		if c.Cacheable() && s != 404 && s != 410 {
			t.Errorf("%v (%d) is cacheable", c, s)
		}
		if s == 410 && !c.Cacheable() {
			t.Errorf("%v (410) is not cacheable", c)
		}
		if c.RetryLater() != (s == 429 || s == 503) {
			t.Errorf("%v (%d): RetryLater %v", c, s, c.RetryLater())
		}
	}
	if NotFound.Cacheable() {
		t.Error("not_found is cacheable, but the contract does not list it")
	}
}
