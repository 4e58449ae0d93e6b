// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdoptionsFromTheRealSamplePassCheck takes the two Kommunen of the i-Kfz pilot from the published sample: what adopt
// prints for them, put into the tree, gives them back exactly what they had.
func TestAdoptionsFromTheRealSamplePassCheck(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds data/pvog_routes_sample.csv")
	}
	dir := t.TempDir()
	offer, err := os.ReadFile("../../config/example/routes.d/efa/ikfz.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("routes.d/ikfz.yaml", offer)
	write("pvgate.yaml", []byte("sources:\n  - {name: pvog-sample, type: csv, path: "+filepath.Join(material, "data", "pvog_routes_sample.csv")+", separator: \";\",\n"+
		"     columns: {leistung: leika, area: ars, url: online_url, page: source_portal_url, keep: gefunden}}\n"))
	config := filepath.Join(dir, "pvgate.yaml")
	pvgate := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append(args, "-c", config), &stdout, &stderr); code != exitOK {
			t.Fatalf("pvgate %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout.String(), stderr.String())
		}
		return stdout.String()
	}
	if got := pvgate("check"); !strings.Contains(got, "offer ikfz-2026 would close 3 live rows without an adoption, ") {
		t.Errorf("check says\n%s", got)
	}
	for _, land := range []string{"01", "06"} {
		write("routes.d/"+land+".yaml", []byte(pvgate("marktplatz", "adopt", "--from-registry", "ikfz-2026", "--land", land)))
	}
	if got := pvgate("check"); strings.Contains(got, "would close") {
		t.Errorf("check still says\n%s", got)
	}
	for _, c := range [...][3]string{
		{"99036026017000", "010010000000", "?prozessKey=m40191.ab&oeId=L100012.OE.9029660&leistungId=99036026017000&p=010010"},
		{"99036020001000", "010010000000", "?prozessKey=m40191.zl&oeId=L100012.OE.9029660&leistungId=99036020001000&p=010010"},
		{"99036026017000", "065340014014", "?prozessKey=m40191.ab&oeId=L100001.OE.383018402&leistungId=99036026017000&p=065340"},
	} {
		want := "https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag" + c[2]
		if got := pvgate("explain", c[0], "--area", c[1]); !strings.Contains(got, "→ ikfz ") || !strings.Contains(got, want+"\n") {
			t.Errorf("%s in %s: want %s, got\n%s", c[0], c[1], want, got)
		}
	}
}
