// SPDX-License-Identifier: EUPL-1.2

package registry_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/registry"
)

func TestFinderReadsBackWhatATemplateWrote(t *testing.T) {
	t.Parallel()
	const ikfz = "https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId={oe_id}&leistungId={leistung}&p={ars:6}"
	for _, c := range []struct{ template, address, want string }{
		// Two real rows of the PVOG.
		{ikfz, "https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId=L100012.OE.9029660&leistungId=99036026017000&p=010010", "L100012.OE.9029660"},
		{ikfz, "https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId=L100001.OE.383018402&leistungId=99036026017000&p=065340", "L100001.OE.383018402"},
		// The order of parameters, further ones, and empty ones do not matter.
		{ikfz, "https://x.example/?oeId=&v=1&oeId=A%26B&p=06", "A&B"},
		{ikfz, "https://x.example/?oeid=1", ""},
		{ikfz, "https://x.example/", ""},
		{"/antrag/{leistung}?ars={ars}&oe={oe_id}", "https://x.example/antrag/99036026017000?oe=HE.OE.534", "HE.OE.534"},
		{"https://x.example/{oe_id}/{ars:5}/start", "https://y.example/L1.OE.7/06534/start", "L1.OE.7"},
		{"https://x.example/{oe_id}/{ars:5}/start", "https://y.example/L1.OE.7/06534/end", ""},
		{"https://x.example/a#/{oe_id}", "https://x.example/a?b#/L1%2FOE", "L1/OE"},
		{"https://x.example/?k={ars:5}-{oe_id}.x", "https://x.example/?k=06534-L1.OE.7.x", "L1.OE.7"},
		{"https://x.example/?{oe_id}", "https://x.example/?L1", "L1"},
	} {
		tmpl, err := registry.ParseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := tmpl.Finder("oe_id")
		if !ok {
			t.Fatalf("%s: no finder", c.template)
		}
		if got, ok := f.Find(c.address); got != c.want || ok != (c.want != "") {
			t.Errorf("%s in %s: %q %v, want %q", c.template, c.address, got, ok, c.want)
		}
	}
	tmpl, err := registry.ParseTemplate("https://x.example/{ars}")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tmpl.Finder("oe_id"); ok {
		t.Error("a finder for a placeholder that the template lacks")
	}
}

func TestFinderIsTheInverseOfAppend(t *testing.T) {
	t.Parallel()
	l, err := registry.ParseLeistung("99036026017000")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{
			"https://x.example/a?oe={oe_id}&p={ars:6}", "https://x.example/{oe_id}/b?c={leistung}", "/a/{leistung}#{oe_id}",
			"https://x.example/a?p=a{oe_id}b", "https://x.example/a/{leistung}-{oe_id}?x=y",
		}).Draw(t, "template")
		tmpl, err := registry.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := tmpl.Finder("oe_id")
		if !ok {
			t.Fatal("no finder")
		}
		oe := rapid.StringMatching(`[A-Za-z0-9.&=?#%+ /äß_-]{1,20}`).Filter(func(s string) bool { return s != "." && s != ".." }).Draw(t, "oe")
		address, err := tmpl.Append(nil, &registry.Values{Leistung: l, OE: oe})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.Find(string(address)); !ok || got != oe {
			t.Fatalf("%q in %s, want %q", got, address, oe)
		}
	})
}
