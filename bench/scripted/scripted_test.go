// SPDX-License-Identifier: EUPL-1.2

package scripted

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ask(t *testing.T, s *Service, path string) (status int, kind, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("pvog-sud-api-client-id", "c0ffee")
	s.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header().Get("Content-Type"), string(text)
}

// Both services hold their clients to what their descriptions say.
func TestClientsAreHeldToTheLetter(t *testing.T) {
	t.Parallel()
	s := &Service{ClientID: "c0ffee"}
	for path, want := range map[string]int{
		"/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014&size=5": 200,
		"/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014":        200,
		"/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014&size=4": 400,
		"/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014&page=x": 400,
		"/v3/servicedescriptions/leikaid?leikaIds=99050012&ars=065340014014":              400,
		"/v3/servicedescriptions/leikaid?leikaIds=99050012104000":                         400,
		"/v1/routes?leikaKey=99050012104000&ars=065340014014":                             200,
		"/v1/routes?leikaKey=99050012104000&ags=06534014":                                 200,
		"/v1/routes?leikaKey=99050012104000&areaId=1024":                                  200,
		"/v1/routes?leikaKey=99050012104000":                                              400,
		"/v1/routes?leikaKey=99050012104000&ars=065340014014&ags=06534014":                400,
		"/v1/routes?leikaKey=77000000000317&ars=065340014014":                             400,
		"/v1/routes?leikaKey=99050012104000&ars=0653":                                     400,
		"/v1/routes?leikaKey=99050012104000&ars=06&limit=501":                             400,
		"/v1/routes?leikaKey=99050012104000&ars=06&offset=-1":                             400,
		"/v1/areas?areaSearchexpression=Hanau":                                            200,
		"/v1/areas":                                                                       400,
		"/v1/info":                                                                        200,
		"/v1/other":                                                                       404,
	} {
		if got, _, body := ask(t, s, path); got != want {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
	if _, kind, _ := ask(t, s, "/v1/areas?areaSearchexpression=Hanau"); kind != "application/problem+json" {
		t.Errorf("areas are %s", kind)
	}
	s.ClientID = "another"
	if got, _, _ := ask(t, s, "/v3/servicedescriptions/leikaid?leikaIds=99050012104000&ars=065340014014"); got != 401 {
		t.Errorf("without its client id: %d", got)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	s := &Service{}
	s.Be(Broken)
	s.Next(Well, BusyBare)
	q := Question{Leistung: "99050012104000", Area: "06"}
	for i, want := range []int{200, 429, 500, 500} {
		if got, _, body := ask(t, s, "/v1/routes?leikaKey=99050012104000&ars=06"); got != want || want == 429 && body != "" {
			t.Errorf("request %d: %d %q", i, got, body)
		}
	}
	if s.Calls(q) != 4 || s.Total() != 4 || s.Most() != 1 {
		t.Errorf("%d calls of %d, %d at once", s.Calls(q), s.Total(), s.Most())
	}
	for _, f := range Faults() {
		if back, ok := ParseFault(f.String()); !ok || back != f || strings.Trim(f.String(), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%d is called %q", f, f)
		}
	}
	if _, ok := ParseFault("nothing"); ok {
		t.Error("a fault called nothing")
	}
}
