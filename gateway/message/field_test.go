// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"strings"
	"testing"
)

func TestClassifyIgnoresCase(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]FieldID{
		"Host": Host, "Content-Length": ContentLength, "Transfer-Encoding": TransferEncoding, "Connection": Connection,
		"Keep-Alive": KeepAlive, "Proxy-Connection": ProxyConnection, "TE": TE, "Trailer": Trailer, "Upgrade": Upgrade,
		"HTTP2-Settings": HTTP2Settings, "Proxy-Authenticate": ProxyAuthenticate, "Proxy-Authorization": ProxyAuthorization,
		"Proxy-Authentication-Info": ProxyAuthenticationInfo, "Proxy": Proxy, "Via": Via, "Forwarded": Forwarded,
		"X-Forwarded-For": XForwardedFor, "X-Forwarded-Proto": XForwardedProto, "X-Forwarded-Host": XForwardedHost,
		"X-Forwarded-Prefix": XForwardedOther, "X-Forwarded-Port": XForwardedOther, "X-Real-IP": XRealIP,
		"True-Client-IP": XClientIP, "CF-Connecting-IP": XClientIP, "X-Original-URL": XClientIP, "Traceparent": Traceparent,
		"Tracestate": Tracestate, "PV-Leistung": PVLeistung, "PV-ARS": PVARS, "PV-Language": PVLanguage, "PV-Sender": PVOther,
		"PV-X": PVOther, "X-PVP-UserID": Identity, "X-AUTHENTICATE-UserID": Identity, "X-AUTHORIZE-roles": Identity,
		"X-SSL-Client-S-DN": Identity, "X-Forwarded-Client-Cert": Identity, "X-Client-Cert": Identity, "Expect": Expect,
		"Max-Forwards": MaxForwards, "Early-Data": EarlyData, "Date": Date, "Server": Server, "Accept": Accept,
		"Accept-Language": AcceptLanguage, "Accept-Encoding": AcceptEncoding, "Authorization": Authorization,
		"Cache-Control": CacheControl, "Content-Type": ContentType, "Content-Encoding": ContentEncoding, "Cookie": Cookie,
		"Set-Cookie": SetCookie, "Location": Location, "Content-Location": ContentLocation, "Refresh": Refresh,
		"Origin": Origin, "Referer": Referer, "User-Agent": UserAgent, "Retry-After": RetryAfter, "Alt-Svc": AltSvc,
		"Strict-Transport-Security": StrictTransportSecurity, "Proxy-Status": ProxyStatus,
		"X-Custom": FieldOther, "PVX": FieldOther, "PV": FieldOther, "Content-Lengt": FieldOther, "Content-Lengths": FieldOther,
		"X-Forwarded": FieldOther, "Pv-": PVOther,
		"PV-" + strings.Repeat("a", 100): PVOther, "X-Forwarded-" + strings.Repeat("a", 100): XForwardedOther,
		strings.Repeat("a", 100): FieldOther, "": FieldOther,
		"Host ": FieldOther, "Ho st": FieldOther, "Host\x00": FieldOther,
	} {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := Classify([]byte(spelling)); got != want {
				t.Errorf("%q: got %d, want %d", spelling, got, want)
			}
		}
	}
}

// A CGI-style backend turns "-" into "_" before it looks a name up; some turn "."
// too. Every spelling that lands on a name of ours is the same lie.
func TestSpellingsThatBackendsConfuseAreAliases(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"pv_leistung", "PV.ARS", "pv_anything", "X_Forwarded_For", "x-forwarded_for", "X.Forwarded.Proto", "x_forwarded_x",
		"Content_Length", "Content.Length", "transfer_encoding", "X_PVP_UserID", "X-PVP_Roles", "x_real_ip", "User_Agent",
		"PV_" + strings.Repeat("a", 100),
	} {
		if got := Classify([]byte(name)); got != Alias {
			t.Errorf("%q: got %d, want Alias", name, got)
		}
	}
	for _, name := range []string{"X_Custom", "X.Custom", "_", ".", "a_b-c.d", strings.Repeat("a_", 50)} {
		if got := Classify([]byte(name)); got != FieldOther {
			t.Errorf("%q: got %d, want FieldOther", name, got)
		}
	}
}

func TestHeadGetTellsEmptyFromAbsent(t *testing.T) {
	t.Parallel()
	h := Head{Fields: []Field{{Name: []byte("Accept"), Value: []byte{}, ID: Accept}}}
	if h.Get(Accept) == nil {
		t.Error("an empty field must not look absent")
	}
	if h.Get(Cookie) != nil {
		t.Error("an absent field must be nil")
	}
	h.Reset()
	if len(h.Fields) != 0 || cap(h.Fields) != 1 || h.ContentLength != -1 {
		t.Errorf("after Reset: %d fields, capacity %d, length %d; want 0, 1, -1", len(h.Fields), cap(h.Fields), h.ContentLength)
	}
}

func BenchmarkScanName(b *testing.B) {
	line := []byte("Accept-Language: de")
	b.ReportAllocs()
	for b.Loop() {
		ScanName(line)
	}
}
