// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustLeistung(t testing.TB, s string) Leistung {
	t.Helper()
	l, err := ParseLeistung(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustARS(t testing.TB, s string) ARS {
	t.Helper()
	a, err := ParseARS(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTemplatesAreFilled(t *testing.T) {
	t.Parallel()
	flensburg := Values{
		Leistung: mustLeistung(t, "99036026017000"), ARS: mustARS(t, "010010000000"),
		OE: "L100012.OE.9029660", LB: "L100108.LB.L100108_120656", OD: "L1.OD.7 8", Destination: "d-1",
	}
	kreis := Values{Leistung: flensburg.Leistung, ARS: mustARS(t, "06534"), Lang: "en"}
	for _, c := range []struct {
		template string
		v        Values
		want     string // "" = ErrEmptyValue
	}{
		{
			"https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId={oe_id}&leistungId={leistung}&p={ars:6}", flensburg,
			"https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId=L100012.OE.9029660&leistungId=99036026017000&p=010010",
		},
		{
			"https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId={oe_id}&leistungId={leistung}&p={ars:6}", kreis,
			"https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&leistungId=99036026017000&p=065340",
		},
		{"/gewerbe/{leistung}", kreis, "/gewerbe/99036026017000"},
		{"/a/{ars}/{ars:2}/{ars:12}/{land}/{lang}/{locale}", kreis, "/a/065340000000/06/065340000000/06/en/en_GB"},
		{"/{lang}_{locale}", flensburg, "/de_de_DE"},
		{"/{ags}", flensburg, "/01001000"},
		{"/x?ags={ags}&l={land}", kreis, "/x?l=06"},
		{"/{ags}", kreis, ""},
		{"/x#{ags}", kreis, ""},
		{"/x#/at/{ars:5}", flensburg, "/x#/at/01001"},
		{
			"/x?a={oe}&b={lb}&c={od}&d={od_id}&e={lb_id}&f={destination_id}", flensburg,
			"/x?a=9029660&b=L100108_120656&c=7%208&d=L1.OD.7%208&e=L100108.LB.L100108_120656&f=d-1",
		},
		{"/x?a={oe}", kreis, "/x"},
		{"/x?a={oe}&b={oe}#f", kreis, "/x#f"},
		{"/x?a={oe}&b=1", kreis, "/x?b=1"},
		{"/x?b=1&a={oe}", kreis, "/x?b=1"},
		{"/x?b=1&a={oe}&c=2", kreis, "/x?b=1&c=2"},
		{"/x?a=", kreis, "/x?a="}, // written empty by the operator, not left empty
		{"/x?", kreis, "/x?"},
		{"/x?a&b", kreis, "/x?a&b"},
		{"/x?&&a=1", kreis, "/x?&&a=1"},
		{"/x?{oe}", kreis, "/x"},
		{"/x?{leistung}", kreis, "/x?99036026017000"},
		{"/x?a=p{oe}", kreis, "/x?a=p"},
		{"/x?a={oe}s", kreis, "/x?a=s"},
		{"/x?a={oe}-{lb}", kreis, "/x?a=-"},
		{"/x?a={oe}{lb}", kreis, "/x"},
		{"/x?a={oe}{land}", kreis, "/x?a=06"},
		{"/a{oe}b", kreis, ""},
		{"https://x.de", kreis, "https://x.de"},
		{"https://x.de?l={land}", kreis, "https://x.de?l=06"},
		{"https://x.de#{land}", kreis, "https://x.de#06"},
		{"/%7Bx%7D?y=%7B", kreis, "/%7Bx%7D?y=%7B"},
		{
			"/{oe}?q={oe}#{oe}",
			Values{OE: "a/b?c#d&e=f+g%h;i:j@kä"},
			"/a%2Fb%3Fc%23d&e=f+g%25h;i:j@k%C3%A4?q=a%2Fb%3Fc%23d%26e%3Df%2Bg%25h%3Bi%3Aj%40k%C3%A4#a%2Fb%3Fc%23d&e=f+g%25h;i:j@k%C3%A4",
		},
		{"/x?p={ars}", Values{}, "/x?p=000000000000"},
	} {
		tmpl, err := ParseTemplate(c.template)
		if err != nil {
			t.Errorf("ParseTemplate(%q): %v", c.template, err)
			continue
		}
		got, err := tmpl.Append([]byte("keep "), &c.v)
		if c.want == "" {
			if !errors.Is(err, ErrEmptyValue) || string(got) != "keep " {
				t.Errorf("%q = %q, %v, want ErrEmptyValue", c.template, got, err)
			}
			continue
		}
		if err != nil || string(got) != "keep "+c.want {
			t.Errorf("%q =\n %q, %v, want\n %q", c.template, got, err, c.want)
		}
		if tmpl.Static() == strings.Contains(c.template, "{") || tmpl.String() != c.template {
			t.Errorf("%q: Static %v, String %q", c.template, tmpl.Static(), tmpl.String())
		}
	}
}

func TestWrongTemplatesSayWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/x/{arsx}":                "unknown placeholder {arsx}; known: leistung ars ars:N ags land lang locale oe_id oe lb_id lb od_id od destination_id",
		"/x/{}":                    "unknown placeholder {}; known: ",
		"/x/{ars:0}":               "unknown placeholder {ars:0}",
		"/x/{ars:13}":              "unknown placeholder {ars:13}",
		"/x/{ars:06}":              "unknown placeholder {ars:06}",
		"/x/{LAND}":                "unknown placeholder {LAND}",
		"/x/{land":                 "a single '{'",
		"/x/land}":                 "a single '}'",
		"/x/{a{b}}":                "a single '{'",
		"/x?{land}=1":              "in the name of a query parameter",
		"https://{land}.x.de/":     "in scheme or host",
		"{land}":                   "want an absolute URL or a path",
		"x/y":                      "want an absolute URL or a path",
		"//x.de/":                  "want an absolute URL or a path",
		"":                         "want an absolute URL or a path",
		"/x y":                     "byte 0x20 at 2",
		"/xä":                      "byte 0xc3 at 2",
		"/x\r\nSet-Cookie: a=b":    "byte 0x0d at 2",
		"https://x.de?a=1\x00#f":   "byte 0x00",
		"https://x.de/{unknown}#f": "unknown placeholder {unknown}",
	} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTemplate(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestTemplateDoesNotAllocate(t *testing.T) {
	tmpl, err := ParseTemplate("https://x.de/{leistung}/{ars}?oeId={oe_id}&o={oe}&p={ars:6}&x={lb}#{land}")
	if err != nil {
		t.Fatal(err)
	}
	v := Values{Leistung: mustLeistung(t, "99036026017000"), ARS: mustARS(t, "010010000000"), OE: "L100012.OE.ä"}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		if buf, err = tmpl.Append(buf[:0], &v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestValuesCannotMakeDotSegments(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseTemplate("/a/{oe_id}/b?x={oe_id}#{oe_id}")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{".", ".."} {
		if got, err := tmpl.Append(nil, &Values{OE: id}); !errors.Is(err, ErrDotSegment) {
			t.Errorf("%q gives %q, %v", id, got, err)
		}
	}
	if got, err := tmpl.Append(nil, &Values{OE: "..."}); err != nil || string(got) != "/a/.../b?x=...#..." {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFormReadersGetTheValuesBack checks the encoding against Go's own reader of URLs.
func TestFormReadersGetTheValuesBack(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseTemplate("https://x.de/p/{lb_id}/e?a=1&oe={oe_id}&b=2&od={od_id}#f{lb_id}")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(0, 20, -1)
		v := Values{OE: id.Draw(t, "oe"), OD: id.Draw(t, "od"), LB: id.Draw(t, "lb")}
		got, err := tmpl.Append(nil, &v)
		if errors.Is(err, ErrDotSegment) {
			return
		}
		if (v.LB == "") != errors.Is(err, ErrEmptyValue) {
			t.Fatalf("lb %q: %v", v.LB, err)
		}
		if err != nil {
			return
		}
		u, err := url.Parse(string(got))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if q.Get("oe") != v.OE || q.Has("oe") != (v.OE != "") || q.Get("od") != v.OD || q.Has("od") != (v.OD != "") ||
			q.Get("a") != "1" || q.Get("b") != "2" || u.Path != "/p/"+v.LB+"/e" || u.Fragment != "f"+v.LB {
			t.Fatalf("%s: %+v", got, v)
		}
	})
}

func FuzzParseTemplate(f *testing.F) {
	for _, s := range []string{"/x?a={oe}&b={ars:6}#{land}", "https://x.de", "/x?&&", "/{", "/?{oe}={oe}"} {
		f.Add(s, "L1.OE.7")
	}
	f.Fuzz(func(t *testing.T, s, id string) {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			return
		}
		got, err := tmpl.Append(nil, &Values{OE: id, LB: id, OD: id})
		if err != nil && !errors.Is(err, ErrEmptyValue) && !errors.Is(err, ErrDotSegment) {
			t.Fatal(err)
		}
		for _, c := range got {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q with %q gives %q", s, id, got)
			}
		}
		if tmpl.Static() && string(got) != s {
			t.Fatalf("static %q gives %q", s, got)
		}
	})
}
