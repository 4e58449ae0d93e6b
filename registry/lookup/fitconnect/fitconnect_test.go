// SPDX-License-Identifier: EUPL-1.2

package fitconnect

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/bench/scripted"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	leistung    = "99134005017000"
	neuhardenbg = "120645410340" // Gemeinde in the Amt 120645410
	destination = "ac715f34-333e-41f4-9bb5-186b309ea233"
)

// testSigner has the only long key of these tests, which takes its time.
var testSigner = sync.OnceValues(func() (*scripted.Signer, error) { return scripted.NewSigner("key-2026", 3072) })

func signer(t testing.TB) *scripted.Signer {
	t.Helper()
	s, err := testSigner()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keys(t testing.TB) Keys {
	t.Helper()
	k, err := ParseKeys(scripted.JWKS(signer(t)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func areas(t testing.TB) *registry.Areas {
	t.Helper()
	a, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func key(t testing.TB, leistung, area string) lookup.Key {
	t.Helper()
	l, err := registry.ParseLeistung(leistung)
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.ParseARS(area)
	if err != nil {
		t.Fatal(err)
	}
	return lookup.Key{Leistung: l, Area: a}
}

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// service is a client and the Routing API that it asks.
func service(t *testing.T, s *scripted.Service) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	t.Cleanup(server.CloseClientConnections)
	h := fetch.Client(fetch.Policy{HTTP: true})
	t.Cleanup(h.CloseIdleConnections)
	return New(Options{Name: "fit", Base: server.URL, Areas: areas(t), Keys: keys(t), HTTP: h, Now: noon})
}

// signed is what a Routing API knows that has one destination for everything.
func signed(t *testing.T, n int) func(q scripted.Question) []scripted.Route {
	s := signer(t)
	return func(q scripted.Question) []scripted.Route {
		var all []scripted.Route
		for i := range n {
			id := fmt.Sprintf("%s%04d", destination[:32], i)
			all = append(all, scripted.Route{
				DestinationID: id, DestinationSignature: s.Destination(id, q.Leistung, q.Area), DestinationName: "Amt Neuhardenberg\n",
				DestinationShortName: "Amt", ImprintURL: "https://amt.example/impressum", PrivacyPolicyURL: "https://10.0.0.1/datenschutz",
				AccessibilityURL: "javascript:alert(1)", Origin: "PVOG",
			})
		}
		return all
	}
}

// Scenario 79: a destination is context, and never an entry.
func TestADestinationIsContext(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{Routes: signed(t, 1), Limit: 100}
	c := service(t, s)
	answer, quota, err := c.Look(t.Context(), key(t, leistung, neuhardenbg))
	if err != nil || len(answer.Entries) != 0 || len(answer.Contexts) != 1 || c.Name() != "fit" {
		t.Fatalf("%+v, %v", answer, err)
	}
	got := answer.Contexts[0]
	if got.Origin.String() != "fit:1" || got.Area.String() != neuhardenbg {
		t.Errorf("%+v", got)
	}
	got.Origin, got.Area = registry.Origin{}, registry.ARS{}
	want := lookup.Context{DestinationID: destination[:32] + "0000", Authority: "Amt Neuhardenberg", Imprint: "https://amt.example/impressum"}
	if got != want {
		t.Errorf("%+v", got)
	}
	if quota.Limit != 100 || quota.Remaining != 99 || quota.Reset <= 0 {
		t.Errorf("%+v", quota)
	}
	if n := s.Calls(scripted.Question{Leistung: leistung, Area: neuhardenbg}); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestACountOfNoneIsNoMatch(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{}
	c := service(t, s)
	for _, area := range []string{neuhardenbg, "120645410", "12064", "12", "033"} {
		if answer, _, err := c.Look(t.Context(), key(t, leistung, area)); err != nil || !answer.Negative() {
			t.Errorf("%s: %+v, %v", area, answer, err)
		}
	}
	if s.Total() != 5 {
		t.Errorf("%d requests", s.Total())
	}
	// The interface has no words for these.
	for _, k := range []lookup.Key{key(t, "77000000000317", neuhardenbg), key(t, leistung, "00")} {
		if answer, _, err := c.Look(t.Context(), k); err != nil || !answer.Negative() || s.Total() != 5 {
			t.Errorf("%+v: %+v, %v after %d requests", k, answer, err, s.Total())
		}
	}
}

func TestWhatIsAsked(t *testing.T) {
	t.Parallel()
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"count":0,"offset":0,"totalCount":0,"routes":[]}`))
	}))
	t.Cleanup(server.Close)
	h := fetch.Client(fetch.Policy{HTTP: true})
	t.Cleanup(h.CloseIdleConnections)
	c := New(Options{Name: "fit", Base: server.URL, Routes: "/v2/routes", Agent: "Amt 1.0", Areas: areas(t), HTTP: h})
	if _, _, err := c.Look(t.Context(), key(t, leistung, "120645410")); err != nil {
		t.Fatal(err)
	}
	if got.URL.String() != "/v2/routes?ars=120645410&leikaKey=99134005017000&limit=100&offset=0" || got.UserAgent() != "Amt 1.0" {
		t.Errorf("%s by %s", got.URL, got.UserAgent())
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{Routes: signed(t, pageSize+1)}
	c := service(t, s)
	if answer, _, err := c.Look(t.Context(), key(t, leistung, neuhardenbg)); err != nil || len(answer.Contexts) != pageSize+1 || s.Total() != 2 {
		t.Errorf("%d destinations by %d requests: %v", len(answer.Contexts), s.Total(), err)
	}
	unsigned := scripted.Route{DestinationID: destination}
	s = &scripted.Service{Routes: func(scripted.Question) []scripted.Route {
		all := make([]scripted.Route, maxPages*pageSize+1)
		for i := range all {
			all[i] = unsigned
		}
		return all
	}}
	_, _, err := service(t, s).Look(t.Context(), key(t, leistung, neuhardenbg))
	if causeOf(err) != source.CauseOversized || s.Total() != maxPages {
		t.Errorf("%d requests: %v", s.Total(), err)
	}
}

func causeOf(err error) source.Cause {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r.Cause
	}
	return ""
}

// Every fault of the service is an error and ends in bounded time and requests.
func TestEveryFaultIsAnError(t *testing.T) {
	t.Parallel()
	want := map[scripted.Fault]source.Cause{
		scripted.Busy: source.CauseRateLimited, scripted.BusyBare: source.CauseRateLimited, scripted.Shape: source.CauseSchema,
		scripted.Problem: source.CauseSchema, scripted.HTML: source.CauseSchema, scripted.Frozen: source.CauseTimeout,
		scripted.Loop: source.CauseOversized, scripted.Gone: source.CauseUnreachable,
	}
	for _, f := range scripted.Faults() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := &scripted.Service{Routes: signed(t, 1)}
			c := service(t, s)
			s.Be(f)
			patience := time.Minute
			if f == scripted.Frozen || f == scripted.Drip {
				patience = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			answer, _, err := c.Look(ctx, key(t, leistung, neuhardenbg))
			if cause := causeOf(err); cause == "" || want[f] != "" && cause != want[f] || len(answer.Contexts) > 0 {
				t.Errorf("%+v, %v", answer, err)
			}
			if s.Total() > maxPages && f != scripted.Circles {
				t.Errorf("%d requests", s.Total())
			}
		})
	}
}

// A 429 may be of type application/json and empty; its window is obeyed where it is told.
func TestWhoAsksTooOftenHearsWhenToComeAgain(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{Limit: 1, Window: time.Hour}
	c := service(t, s)
	if _, quota, err := c.Look(t.Context(), key(t, leistung, neuhardenbg)); err != nil || quota.Remaining != 0 || quota.Reset < time.Minute {
		t.Errorf("%+v, %v", quota, err)
	}
	_, quota, err := c.Look(t.Context(), key(t, leistung, neuhardenbg))
	var r *source.Refusal
	if !errors.As(err, &r) || r.Cause != source.CauseRateLimited || r.RetryAfter < time.Minute || quota.Reset != r.RetryAfter {
		t.Errorf("%+v, %v", quota, err)
	}
}

func TestAUserAgentThatIsRefusedIsNamed(t *testing.T) {
	t.Parallel()
	s := &scripted.Service{RefusedAgent: "pvgate"}
	_, _, err := service(t, s).Look(t.Context(), key(t, leistung, neuhardenbg))
	if causeOf(err) != source.CauseUnreachable || !strings.Contains(err.Error(), "User-Agent") {
		t.Errorf("%v", err)
	}
}

func TestPagesThatContradictThemselves(t *testing.T) {
	t.Parallel()
	c := New(Options{Name: "fit", Areas: areas(t)})
	for name, tc := range map[string]struct {
		body string
		want source.Cause
	}{
		"no count":              {`{"offset":0,"totalCount":0,"routes":[]}`, source.CauseSchema},
		"no offset":             {`{"count":0,"totalCount":0,"routes":[]}`, source.CauseSchema},
		"no total":              {`{"count":0,"offset":0,"routes":[]}`, source.CauseSchema},
		"no routes":             {`{"count":0,"offset":0,"totalCount":0}`, source.CauseSchema},
		"a count of others":     {`{"count":2,"offset":0,"totalCount":2,"routes":[{}]}`, source.CauseSchema},
		"another offset":        {`{"count":1,"offset":7,"totalCount":9,"routes":[{}]}`, source.CauseSchema},
		"some that do not come": {`{"count":0,"offset":0,"totalCount":9,"routes":[]}`, source.CauseTruncated},
		"fewer than came":       {`{"count":1,"offset":0,"totalCount":0,"routes":[{}]}`, source.CauseTruncated},
	} {
		var p page
		if err := json.Unmarshal([]byte(tc.body), &p); err != nil {
			t.Fatal(err)
		}
		if err := c.check(&p, 0); causeOf(err) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// payloadOf is what FIT-Connect signs, with a change.
func payloadOf(change func(p map[string]any)) map[string]any {
	p := map[string]any{
		"submissionHost": "submission-api.example.net", "destinationId": destination, "iat": 1637863481,
		"services": []scripted.Services{{Areas: []string{scripted.AreaURN + "120645410"}, Leistungen: []string{scripted.LeistungURN + leistung}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func headOf(more ...string) map[string]any {
	h := map[string]any{"kid": "key-2026", "typ": "jwt", "alg": "PS512"}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestWhatIsSignedCounts(t *testing.T) {
	t.Parallel()
	s, k, table := signer(t), keys(t), areas(t)
	services := func(all ...scripted.Services) func(p map[string]any) {
		return func(p map[string]any) { p["services"] = all }
	}
	at := func(urns ...string) scripted.Services {
		return scripted.Services{Areas: urns, Leistungen: []string{scripted.LeistungURN + leistung}}
	}
	for name, tc := range map[string]struct {
		change func(p map[string]any)
		area   string
		want   string // "" = refused
	}{
		"the Amt around the Gemeinde":       {nil, neuhardenbg, "120645410"},
		"the Amt itself":                    {nil, "120645410", "120645410"},
		"another Amt":                       {nil, "120645412128", ""},
		"the Kreis around the Amt":          {nil, "12064", ""},
		"the deepest of several":            {services(at(scripted.AreaURN+"12", scripted.AreaURN+neuhardenbg, scripted.AreaURN+"12064")), neuhardenbg, neuhardenbg},
		"a padded key":                      {services(at(scripted.AreaURN + "120000000000")), neuhardenbg, "12"},
		"an AGS":                            {services(at(urnAGS + "12064340")), neuhardenbg, neuhardenbg},
		"the whole Bund":                    {services(at(scripted.AreaURN + "000000000000")), neuhardenbg, "00"},
		"two services":                      {services(scripted.Services{Areas: []string{scripted.AreaURN + neuhardenbg}, Leistungen: []string{scripted.LeistungURN + "99012070006001"}}, at(scripted.AreaURN+"12")), neuhardenbg, "12"},
		"another Leistung":                  {services(scripted.Services{Areas: []string{scripted.AreaURN + neuhardenbg}, Leistungen: []string{scripted.LeistungURN + "99134005017001"}}), neuhardenbg, ""},
		"Leistung and area of two services": {services(scripted.Services{Areas: []string{scripted.AreaURN + neuhardenbg}}, scripted.Services{Leistungen: []string{scripted.LeistungURN + leistung}}), neuhardenbg, ""},
		"an area without a URN":             {services(at("120645410")), neuhardenbg, ""},
		"an area that is none":              {services(at(scripted.AreaURN + "999999999999")), neuhardenbg, ""},
		"no services":                       {func(p map[string]any) { delete(p, "services") }, neuhardenbg, ""},
		"another destination":               {func(p map[string]any) { p["destinationId"] = "3fa85f64-5717-4562-b3fc-2c963f66afa6" }, neuhardenbg, ""},
		"no destination":                    {func(p map[string]any) { delete(p, "destinationId") }, neuhardenbg, ""},
		"no host":                           {func(p map[string]any) { delete(p, "submissionHost") }, neuhardenbg, ""},
		"ended":                             {func(p map[string]any) { p["exp"] = noon().Unix() }, neuhardenbg, ""},
		"not ended":                         {func(p map[string]any) { p["exp"] = noon().Unix() + 1 }, neuhardenbg, "120645410"},
		"not begun":                         {func(p map[string]any) { p["nbf"] = noon().Unix() + 1 }, neuhardenbg, ""},
	} {
		got, err := k.verify(s.Sign(headOf(), payloadOf(tc.change)), claim{destination, key(t, leistung, tc.area), table, noon()})
		want, parseErr := registry.ParseARS(tc.want)
		if tc.want != "" && parseErr != nil {
			t.Fatal(parseErr)
		}
		if (err == nil) != (tc.want != "") || err == nil && got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// A signature that is not made with a configured key, over these bytes, with PS512, is none.
func TestWhoeverElseSignsIsNotBelieved(t *testing.T) {
	t.Parallel()
	s, k, table := signer(t), keys(t), areas(t)
	stranger, err := scripted.NewSigner("key-2026", 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := s.Sign(headOf(), payloadOf(nil))
	c := claim{destination, key(t, leistung, neuhardenbg), table, noon()}
	if _, err := k.verify(good, c); err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	raw[7] ^= 1
	for name, bad := range map[string]string{
		"nothing":                       "",
		"dots":                          "..",
		"a JSON serialisation":          `{"payload":"` + body + `"}`,
		"four parts":                    good + ".x",
		"a stranger under our kid":      stranger.Sign(headOf(), payloadOf(nil)),
		"another kid":                   s.Sign(headOf("kid", "key-2025"), payloadOf(nil)),
		"no kid":                        s.Sign(map[string]any{"alg": "PS512"}, payloadOf(nil)),
		"alg none":                      s.Sign(headOf("alg", "none"), payloadOf(nil)),
		"alg none, unsigned":            text(headOf("alg", "none")) + "." + body + ".",
		"alg PS256":                     s.Sign(headOf("alg", "PS256"), payloadOf(nil)),
		"alg HS512":                     s.Sign(headOf("alg", "HS512"), payloadOf(nil)),
		"alg RS512":                     s.Sign(headOf("alg", "RS512"), payloadOf(nil)),
		"alg in small letters":          s.Sign(headOf("alg", "ps512"), payloadOf(nil)),
		"an extension that is critical": s.Sign(map[string]any{"kid": "key-2026", "alg": "PS512", "crit": []string{"b64"}, "b64": false}, payloadOf(nil)),
		"another payload":               head + "." + text(payloadOf(func(p map[string]any) { p["iat"] = 1 })) + "." + sig,
		"another header":                text(headOf("x", "y")) + "." + body + "." + sig,
		"no signature":                  head + "." + body + ".",
		"half a signature":              head + "." + body + "." + sig[:len(sig)/2],
		"one bit":                       head + "." + body + "." + base64.RawURLEncoding.EncodeToString(raw),
		"padding":                       good + "==",
		"a line break":                  head + "." + body + "." + sig[:10] + "\n" + sig[10:],
		"the other alphabet":            head + "." + body + "." + "+/" + sig[2:],
		"a payload that is no JSON":     s.Sign(headOf(), "text"),
		"too long":                      s.Sign(headOf(), payloadOf(func(p map[string]any) { p["x"] = strings.Repeat("x", maxSignature) })),
	} {
		if area, err := k.verify(bad, c); err == nil {
			t.Errorf("%s: believed, for %s", name, area)
		}
	}
	if _, err := (Keys{}).verify(good, c); err == nil {
		t.Error("believed without a key")
	}
}

// One destination that is not signed costs itself; where no other one is told, nobody takes the answer for "none".
func TestUnsignedDestinationsAreLeftOut(t *testing.T) {
	t.Parallel()
	bad := scripted.Route{DestinationID: destination, DestinationSignature: "a.b.c", DestinationName: "x"}
	odd := scripted.Route{DestinationID: "../" + destination, DestinationSignature: signer(t).Destination("../"+destination, leistung, neuhardenbg)}
	one := signed(t, 1)
	c := service(t, &scripted.Service{Routes: func(q scripted.Question) []scripted.Route { return append(one(q), bad, odd) }})
	if answer, _, err := c.Look(t.Context(), key(t, leistung, neuhardenbg)); err != nil || len(answer.Contexts) != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
	c = service(t, &scripted.Service{Routes: func(scripted.Question) []scripted.Route { return []scripted.Route{bad, odd} }})
	if _, _, err := c.Look(t.Context(), key(t, leistung, neuhardenbg)); causeOf(err) != source.CauseSignature {
		t.Errorf("%v", err)
	}
}

func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	s := signer(t)
	small, err := scripted.NewSigner("small", 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(all ...map[string]any) string {
		text, err := json.Marshal(map[string]any{"keys": all})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	with := func(name string, value any) map[string]any {
		j := s.JWK()
		j[name] = value
		return j
	}
	ec := map[string]any{"kty": "EC", "crv": "P-256", "kid": "ec"}
	for name, tc := range map[string]struct {
		text string
		want string
	}{
		"one key":                        {set(s.JWK()), ""},
		"beside keys for something else": {set(ec, with("alg", "RSA-OAEP-256"), with("use", "enc"), with("key_ops", []string{"wrapKey"}), s.JWK()), ""},
		"nothing but others":             {set(ec, with("use", "enc")), "has no key for PS512 signatures"},
		"no keys":                        {"{}", "has no key for PS512 signatures"},
		"no JSON":                        {"-----BEGIN PUBLIC KEY-----", "no JWK set"},
		"two with one kid":               {set(s.JWK(), s.JWK()), "has no kid, or that of another"},
		"no kid":                         {set(with("kid", "")), "has no kid"},
		"short":                          {set(small.JWK()), "has 2048 bits"},
		"even":                           {set(with("n", base64.RawURLEncoding.EncodeToString(append(make([]byte, 0), append([]byte{0x80}, make([]byte, 400)...)...)))), "even"},
		"padded":                         {set(with("e", "AQAB==")), "no base64url"},
		"an exponent of 3":               {set(with("e", "Aw")), "exponent"},
		"65 keys":                        {set(make([]map[string]any, 65)...), "more than 64 keys"},
		"something that is not a text":   {set(with("n", 7)), "no JWK set"},
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := ReadKeys(path)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) || err == nil && len(keys) != 1 {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// The example of the OpenAPI file is by a key that nobody here has; all but the signature can be read.
func TestTheExampleOfTheDescription(t *testing.T) {
	t.Parallel()
	head := "eyJraWQiOiJmT0hzdExPNGJlQnEwcHgtMDFwTEoyUnhQbUJEakNtbEtIQk84ZzVXLVNBIiwidHlwIjoiand0IiwiYWxnIjoiUFM1MTIifQ"
	body := "eyJzdWJtaXNzaW9uSG9zdCI6InN1Ym1pc3Npb24tYXBpLWRldi5maXQtY29ubmVjdC5maXRrby5kZXYiLCJpc3MiOiJodHRwczpcL1wvcG9ydGFsLmF1dGgtZGV2LmZpdC1jb25uZWN0LmZpdGtvLmRldiIsInNlcnZpY2VzIjpbeyJnZWJpZXRJRHMiOlsidXJuOmRlOmJ1bmQ6ZGVzdGF0aXM6YmV2b2Vsa2VydW5nc3N0YXRpc3RpazpzY2hsdWVzc2VsOnJzOjEyMDY0NTQxMCJdLCJsZWlzdHVuZ0lEcyI6WyJ1cm46ZGU6ZmltOmxlaWthOmxlaXN0dW5nOjk5MTM0MDA1MDE3MDAwIl19XSwiZGVzdGluYXRpb25JZCI6ImFjNzE1ZjM0LTMzM2UtNDFmNC05YmI1LTE4NmIzMDllYTIzMyIsImlhdCI6MTYzNzg2MzQ4MSwianRpIjoiMmQxNDI2ZjItZDY3My00NmRlLTg2OGUtZDk2ODQ0ZDI0ZmUxIn0"
	var p payload
	if err := decodeJSON(body, &p); err != nil {
		t.Fatal(err)
	}
	c := claim{destination, key(t, leistung, neuhardenbg), areas(t), noon()}
	if area, err := p.covers(&c); err != nil || area.String() != "120645410" {
		t.Errorf("%s, %v", area, err)
	}
	_, err := keys(t).verify(head+"."+body+".AAAA", c)
	if err == nil || !strings.Contains(err.Error(), "fOHstLO4beBq0px-01pLJ2RxPmBDjCmlKHBO8g5W-SA") {
		t.Errorf("%v", err)
	}
}

// Garbage is survived, and nothing is believed that nobody signed.
func FuzzRoutes(f *testing.F) {
	k := key(f, leistung, neuhardenbg)
	c := New(Options{Name: "fit", Areas: areas(f), Keys: keys(f), Now: noon})
	sig := signer(f).Destination(destination, leistung, neuhardenbg)
	f.Add([]byte(`{"count":0,"offset":0,"totalCount":0,"routes":[]}`))
	f.Add([]byte(`{"count":1,"offset":0,"totalCount":1,"routes":[{"destinationId":"` + destination + `","destinationSignature":"` + sig + `","imprintUrl":"https://a.example/"}]}`))
	f.Add([]byte(`{"count":1,"offset":0,"totalCount":1,"routes":[{"destinationId":"x","destinationSignature":"eyJhbGciOiJQUzUxMiJ9.e30.AA"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p page
		if json.Unmarshal(body, &p) != nil || c.check(&p, 0) != nil {
			return
		}
		found, err := c.contexts(k, *p.Routes)
		if err != nil && len(found) > 0 || len(found) > len(*p.Routes) {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, x := range found {
			if x.DestinationID != destination || x.Imprint != "" && c.o.Policy.Check(x.Imprint) != "" {
				t.Fatalf("%+v", x)
			}
		}
	})
}

// What stands in URLs as a destination's id is a UUID and nothing that looks like one.
func TestUUIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		destination: true, strings.ToUpper(destination): true, strings.ReplaceAll(destination, "-", ""): true,
		"": false, strings.Repeat("-", 36): false, strings.Repeat("-", 32): false, "a-c715f34333e41f49bb5186b309ea233": false, destination + "0": false, destination[:35]: false, destination[:35] + "g": false,
		"ac715f343-33e-41f4-9bb5-186b309ea233": false,
	} {
		if got := isUUID(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
