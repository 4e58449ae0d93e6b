// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sampleRow is a row of the published sample with what it must answer.
type sampleRow struct {
	line           int
	area, leistung string
	url            string // "" = no target
}

// sampleRows reads the published sample; without the material the test is skipped.
func sampleRows(t *testing.T) (path string, rows []sampleRow) {
	t.Helper()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds data/pvog_routes_sample.csv")
	}
	path, err := filepath.Abs(filepath.Join(material, "data", "pvog_routes_sample.csv"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		f := strings.Split(strings.TrimSuffix(line, "\r"), ";")
		row := sampleRow{line: i + 2, area: f[0], leistung: f[3], url: f[7]}
		if row.url == "" {
			row.url = f[8]
		}
		rows = append(rows, row)
	}
	return path, rows
}

// The published sample as the only source answers the same through HTTP, the command line and the admin listener.
func TestSampleAnswersTheSameEverywhere(t *testing.T) {
	t.Parallel()
	path, rows := sampleRows(t)
	dir := t.TempDir()
	text := "listen: [{address: \"127.0.0.1:0\", hosts: any}]\nadmin: {address: \"127.0.0.1:0\"}\nsources:\n" +
		"  - {name: pvog-sample, type: csv, path: " + path + ", separator: \";\",\n" +
		"     columns: {leistung: leika, area: ars, url: online_url, page: source_portal_url, keep: gefunden}}\n"
	config := filepath.Join(dir, "pvgate.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(dir, nil, "pvgate", "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.kill() })
	var at [2]string
	for i, pattern := range []string{`listening on http://(\S+)`, `admin on http://(\S+)`} {
		m, err := p.await(regexp.MustCompile(pattern))
		if err != nil {
			t.Fatal(err)
		}
		at[i] = m[1]
	}
	client := ownClient(t)
	count := map[string]int{}
	for _, row := range rows {
		code, location := redirected(t, client, "http://"+at[0]+"/leistung/"+row.leistung+"/"+row.area)
		if location != row.url || (row.url != "") != (code == http.StatusSeeOther) {
			t.Errorf("row %d by HTTP: %d %s, want %s", row.line, code, location, row.url)
		}
		online := explained(t, fetchURL(t, client, "http://"+at[1]+"/api/v1/explain?leistung="+row.leistung+"&ars="+row.area))
		var stdout, stderr bytes.Buffer
		exit := run(t.Context(), []string{"explain", row.leistung, "--ars", row.area, "--config", config, "-o", "json"}, &stdout, &stderr)
		offline := explained(t, stdout.Bytes())
		if online != offline {
			t.Errorf("row %d: the admin listener says %+v, the command line %+v", row.line, online, offline)
		}
		if (exit == exitOK) != (row.url != "") || offline.Verdict.URL != row.url || offline.Exit != exit || offline.Verdict.Status != code {
			t.Errorf("row %d by command line: exit code %d, %+v, want %s; stderr %s", row.line, exit, offline, row.url, stderr.String())
		}
		if row.url == "" {
			count[offline.Verdict.Reason]++
		} else {
			count[offline.Verdict.Kind]++
		}
	}
	if count["service"] != 44 || count["page"] != 3 || count["no_route"] != 3 || len(rows) != 50 {
		t.Errorf("%v of %d rows; want 44 to an Onlinedienst, 3 to a page, 3 to no_route", count, len(rows))
	}
}

// answered is what both kinds of explain say first.
type answered struct {
	Verdict struct {
		Reason  string `json:"reason"`
		Status  int    `json:"status"`
		Backend string `json:"backend"`
		Kind    string `json:"kind"`
		URL     string `json:"url"`
	} `json:"verdict"`
	Exit int `json:"exit"`
}

func explained(t *testing.T, body []byte) (a answered) {
	t.Helper()
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return a
}

// ownClient returns a client that follows no redirect and whose connections are its own: those of http.DefaultTransport
// belong to every test, and httptest's servers close them when they end.
func ownClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetchURL(t *testing.T, client *http.Client, address string) []byte {
	t.Helper()
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// redirected returns status and Location, byte for byte as it was sent.
func redirected(t *testing.T, client *http.Client, address string) (int, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do((&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}
