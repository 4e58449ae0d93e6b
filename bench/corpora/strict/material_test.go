// SPDX-License-Identifier: EUPL-1.2

package strict_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// The judge is itself judged: on every case of the material it must agree with the verdict written there.
func TestJudgeAgreesWithTheMaterial(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder with the corpora")
	}
	files, err := filepath.Glob(filepath.Join(material, "corpora", "*.requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(material, "corpora", "generated-mutations.dev_seed1.jsonl"))
	counts := map[string]int{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var c struct {
				Name     string
				Raw      []byte `json:"raw_request_base64"`
				Policy   string
				NOK      *int `json:"n_ok"`
				Findings []string
			}
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			if c.NOK == nil {
				continue
			}
			counts[c.Policy]++
			s := strict.Requests(c.Raw, strict.Sent)
			var ok bool
			switch c.Policy {
			case "accept":
				// What follows a request for an upgrade is no HTTP, or is, as the origin decides.
				upgrade := slices.ContainsFunc(c.Findings, func(f string) bool { return f == "note:upgrade" })
				ok = len(s.Requests) == *c.NOK && (s.Rest == strict.Complete || s.Closed || upgrade)
			case "reject":
				ok = s.Rest == strict.Bad && len(s.Requests) <= *c.NOK || refusedForSize(c.Findings)
			case "incomplete":
				ok = s.Rest == strict.Incomplete && len(s.Requests) <= *c.NOK
			default: // any: the RFCs leave it open, and so does this test
				ok = true
			}
			if !ok {
				t.Errorf("%s: got %d requests, rest %v (%v); want %s with n_ok %d (%s)\n%.200q",
					c.Name, len(s.Requests), s.Rest, s.Fault, c.Policy, *c.NOK, strings.Join(c.Findings, ", "), c.Raw)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("cases: %v", counts)
}

// refusedForSize says that a case is refused for a limit or a method that a gateway does not want, which no grammar says.
func refusedForSize(findings []string) bool {
	return !slices.ContainsFunc(findings, func(f string) bool { return !strings.HasPrefix(f, "either:") })
}
