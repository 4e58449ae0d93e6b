// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHeadersOfBackends(t *testing.T) {
	t.Parallel()
	backend := func(headers string) string {
		return "backends:\n  x: {mode: proxy, endpoints: [\"http://127.0.0.1:1\"], headers: " + headers + "}\n"
	}
	var many []string
	for range 33 {
		many = append(many, "X-"+strings.Repeat("a", len(many)+1))
	}
	for text, want := range map[string]string{
		backend("{request: {set: {X-Api-Version: \"2\"}, remove: [X-Debug*]}, response: {remove: [Server]}}"): "",
		backend("{request: {set: {Host: x}}}"):                                        "set: \"Host\" is pvgate's own",
		backend("{request: {remove: [pv_sender]}}"):                                   "remove: \"pv_sender\" is pvgate's own",
		backend("{response: {set: {Location: x}}}"):                                   "decides where browsers go",
		backend("{request: {set: {Authorization: x}}}"):                               "would put a secret into the configuration",
		backend("{request: {set: {X-A: \"a\\r\\nX: y\"}}}"):                           "has a value with control characters",
		backend("{request: {set: {\"X A\": a}}}"):                                     "is no field name",
		backend("{request: {set: {X-A: \"\"}}}"):                                      "is empty",
		backend("{response: {remove: [\"*\"]}}"):                                      "may end in *",
		backend("{response: {remove: [" + strings.Join(many, ", ") + "]}}"):           "more names than 32",
		"backends:\n  x: {hosts: [a.example], headers: {request: {set: {X-A: b}}}}\n": "headers of backend \"x\" does nothing in redirect mode",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, defaultConfig), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, report := checkAt(t, dir)
		if r.OK != (want == "") || !strings.Contains(report, want) || want == "" && report != "" {
			t.Errorf("%s: ok %v\n%s", text, r.OK, report)
		}
	}
}
