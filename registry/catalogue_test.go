// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"strings"
	"testing"
)

func TestCatalogueIsRead(t *testing.T) {
	t.Parallel()
	c, err := ReadCatalogue(strings.NewReader("\xEF\xBB\xBFleistung;title;types;successor\r\n"+
		"99036024017000;\"Außerbetriebsetzung; alt\";2b;99.036.026.017.000\r\n"+
		"99036026017000;Außerbetriebsetzung;2b|3a;\r\n"+
		"99154016000000;Über Reisen;11 12;\r\n"+
		"77000000000317;Beteiligung;;\r\n"), "leika.csv")
	if err != nil {
		t.Fatal(err)
	}
	old, text, local := mustLeistung(t, "99036024017000"), mustLeistung(t, "99154016000000"), mustLeistung(t, "77000000000317")
	if c.Len() != 4 || c.Title(old) != "Außerbetriebsetzung; alt" || c.Successor(old).String() != "99036026017000" {
		t.Errorf("%d, %q, %s", c.Len(), c.Title(old), c.Successor(old))
	}
	if c.Types(old).NotAnApplication() || !c.Types(text).NotAnApplication() || c.Types(local).NotAnApplication() || c.Types(Leistung{}).NotAnApplication() {
		t.Error("NotAnApplication is wrong")
	}
	n := 0
	c.All(func(Leistung, LeistungInfo) { n++ })
	var none *Catalogue
	if n != 4 || none.Len() != 0 || none.Title(old) != "" || none.Types(old).NotAnApplication() {
		t.Error("All or the nil catalogue is wrong")
	}
}

func TestWrongCataloguesNameTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "c.csv: the file is empty",
		"title\nx\n":                "c.csv:1: column leistung is missing",
		"leistung,titel\n":          `c.csv:1: unknown column "titel"; columns are leistung,title,types,successor`,
		"leistung\n99\n":            `c.csv:2: leistung "99": want 14 digits`,
		"leistung\n9903602601700\n": "13 digits: one is missing",
		"leistung,successor\n99036024017000,99036024017000\n": "c.csv:2: successor 99036024017000: a Leistung cannot succeed itself",
		"leistung,successor\n77000000000317,99036024017000\n": "local keys have no successor",
		"leistung,successor\n99036024017000,x\n":              "c.csv:2: successor: leistung",
		"leistung,types\n99036024017000,Online\n":             `c.csv:2: type "Online" is no Typisierung`,
		"leistung\n99036024017000\n99 036 024 017 000\n":      "c.csv:3: leistung 99036024017000 stands in line 2 already",
		"leistung\n" + strings.Repeat("x\n", 50):              "c.csv: and more",
	} {
		if _, err := ReadCatalogue(strings.NewReader(text), "c.csv"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}
