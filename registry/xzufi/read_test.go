// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// delivered is what a message gave.
type delivered struct {
	message xzufi.Message
	objects []xzufi.Object
	lines   []int
	faults  []xzufi.Fault
}

func read(r io.Reader, limits xzufi.Limits) (delivered, error) {
	var d delivered
	o := xzufi.Options{Source: "test", File: "a.xml", Limits: limits, Fault: func(f xzufi.Fault) error {
		d.faults = append(d.faults, f)
		return nil
	}}
	var err error
	d.message, err = xzufi.Read(context.Background(), r, o, func(line int, o xzufi.Object) error {
		d.objects, d.lines = append(d.objects, clone(o)), append(d.lines, line)
		return nil
	})
	return d, err
}

// clone keeps an object beyond the call that gave it.
func clone(o xzufi.Object) xzufi.Object {
	switch o := o.(type) {
	case *xzufi.Leistung:
		c := *o
		c.Keys, c.Names, c.Portals = slices.Clone(o.Keys), slices.Clone(o.Names), cloneLinks(o.Portals)
		c.Types, c.Areas, c.Validity = slices.Clone(o.Types), slices.Clone(o.Areas), slices.Clone(o.Validity)
		return &c
	case *xzufi.Spezialisierung:
		c := *o
		c.Names, c.Portals, c.Areas, c.Validity = slices.Clone(o.Names), cloneLinks(o.Portals), slices.Clone(o.Areas), slices.Clone(o.Validity)
		return &c
	case *xzufi.Onlinedienst:
		c := *o
		c.Names, c.Links, c.Validity, c.Zustaendigkeiten = slices.Clone(o.Names), cloneLinks(o.Links), slices.Clone(o.Validity), cloneAll(o.Zustaendigkeiten)
		return &c
	case *xzufi.Organisationseinheit:
		c := *o
		c.Names, c.Validity, c.Zustaendigkeiten = slices.Clone(o.Names), slices.Clone(o.Validity), cloneAll(o.Zustaendigkeiten)
		return &c
	case *xzufi.Formular:
		c := *o
		c.Names, c.Links, c.Validity, c.Zustaendigkeiten = slices.Clone(o.Names), cloneLinks(o.Links), slices.Clone(o.Validity), cloneAll(o.Zustaendigkeiten)
		return &c
	case *xzufi.Zustaendigkeit:
		return &cloneAll([]xzufi.Zustaendigkeit{*o})[0]
	case *xzufi.Delete:
		c := *o
		return &c
	default:
		panic(fmt.Sprintf("%T", o))
	}
}

func cloneLinks(links []xzufi.Link) []xzufi.Link {
	links = slices.Clone(links)
	for i := range links {
		links[i].Parameters, links[i].Validity = slices.Clone(links[i].Parameters), slices.Clone(links[i].Validity)
	}
	return links
}

func cloneAll(zs []xzufi.Zustaendigkeit) []xzufi.Zustaendigkeit {
	zs = slices.Clone(zs)
	for i := range zs {
		zs[i].Areas, zs[i].Validity = slices.Clone(zs[i].Areas), slices.Clone(zs[i].Validity)
	}
	return zs
}

// same compares; an empty list is like none.
func same(want, got any) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(registry.Leistung{}), emptyLists())
}

func emptyLists() cmp.Option {
	empty := func(n, m int) bool { return n == 0 && m == 0 }
	return cmp.Options{
		cmp.FilterValues(func(a, b []xzufi.Link) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []xzufi.Text) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []xzufi.Period) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []xzufi.Parameter) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []xzufi.Area) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []xzufi.Zustaendigkeit) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []registry.Leistung) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
		cmp.FilterValues(func(a, b []string) bool { return empty(len(a), len(b)) }, cmp.Ignore()),
	}
}

const head = `<nachrichtenkopf><nachrichtUUID>76b4df51-e824-49f7-8fec-b4af3152a263</nachrichtUUID><erstelltDatumZeit>2026-01-01T02:00:00Z</erstelltDatumZeit></nachrichtenkopf>`

// wrap makes a message of what its root holds, without a prefix.
func wrap(version, inner string) string {
	return `<m xmlns="http://xoev.de/schemata/xzufi/2_2_0" xzufiVersion="` + version + `">` + head + inner + `</m>`
}

// prefixed puts xzufi: before all names but code.
func prefixed(xml string) string {
	var b strings.Builder
	for i := 0; i < len(xml); i++ {
		b.WriteByte(xml[i])
		if xml[i] != '<' {
			continue
		}
		if xml[i+1] == '/' {
			i++
			b.WriteByte('/')
		}
		if !strings.HasPrefix(xml[i+1:], "code>") {
			b.WriteString("xzufi:")
		}
	}
	return strings.Replace(b.String(), "xmlns=", "xmlns:xzufi=", 1)
}

// only reads a message with one object and no fault.
func only(t *testing.T, xml string) xzufi.Object {
	t.Helper()
	d, err := read(strings.NewReader(xml), xzufi.Limits{})
	if err != nil || len(d.faults) > 0 || len(d.objects) != 1 {
		t.Fatalf("got %d objects, faults %v, %v from\n%s", len(d.objects), d.faults, err, xml)
	}
	return d.objects[0]
}

func key(t *testing.T, s string) registry.Leistung {
	t.Helper()
	l, err := registry.ParseLeistung(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func utc(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return at
}

const (
	idLeistung = `<id schemeAgencyID="L100012" schemeAgencyName="SH" schemeDataURI="d" schemeID="Leistung" schemeName="n" schemeURI="u" schemeVersionID="1">8939019</id>`
	idOnline   = `<id schemeAgencyID='L100012' schemeID='Onlinedienst'> 331668&#10;</id>`
	idUnit     = `<id schemeAgencyID="L100012" schemeID="Organisationseinheit">9029660</id>`
	rs         = `schemeID="urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs"`
)

// Each element of each class, as it is written in the versions.
func TestElements(t *testing.T) {
	t.Parallel()
	leistung := xzufi.ID{AgencyID: "L100012", SchemeID: "Leistung", Text: "8939019"}
	online := xzufi.ID{AgencyID: "L100012", SchemeID: "Onlinedienst", Text: "331668"}
	unit := xzufi.ID{AgencyID: "L100012", SchemeID: "Organisationseinheit", Text: "9029660"}
	kfz := key(t, "99036026017000")
	for _, c := range []struct {
		name, xml string
		want      xzufi.Object
	}{
		{"a Leistung with nothing but an id", `<leistung>` + idLeistung + `</leistung>`, &xzufi.Leistung{ID: leistung}},
		{
			"referenzLeiKa with a code",
			`<leistung>` + idLeistung + `<referenzLeiKa listURI="urn:de:fim:leika:leistung"><code>99036026017000</code></referenzLeiKa></leistung>`,
			&xzufi.Leistung{ID: leistung, Keys: []registry.Leistung{kfz}},
		},
		{
			"referenzLeistungsschluessel, an Identifikator",
			`<leistung>` + idLeistung + `<referenzLeistungsschluessel schemeURI="x">99036026017000</referenzLeistungsschluessel></leistung>`,
			&xzufi.Leistung{ID: leistung, Keys: []registry.Leistung{kfz}},
		},
		{
			"several keys, of which one as URN and one not there",
			`<leistung>` + idLeistung + `<referenzLeiKa><code>99036026017000</code><name>x</name></referenzLeiKa><referenzLeiKa/>` +
				`<referenzLeistungsschluessel>urn:de:fim:leika:leistung:77000000000317</referenzLeistungsschluessel></leistung>`,
			&xzufi.Leistung{ID: leistung, Keys: []registry.Leistung{kfz, key(t, "77000000000317")}},
		},
		{
			"names are text modules 02 and 03, wherever their code stands",
			`<leistung>` + idLeistung + `<modulText><leikaTextmodul><code>02</code></leikaTextmodul><inhalt languageCode="de">A  &amp;
			B</inhalt></modulText><modulText><inhalt languageCode="en">C</inhalt><inhalt/><leikaTextmodul><code>03</code></leikaTextmodul></modulText>` +
				`<modulText><leikaTextmodul><code>06</code></leikaTextmodul><inhalt languageCode="pl">nobody reads &lt;p&gt;this</inhalt></modulText></leistung>`,
			&xzufi.Leistung{ID: leistung, Names: []xzufi.Text{{"de", "A & B"}, {"en", "C"}}},
		},
		{
			"modulUrsprungsportal with dynamic parameters and validity",
			`<leistung>` + idLeistung + `<modulUrsprungsportal languageCode="de"><positionDarstellung>1</positionDarstellung><uri>https://a.example/?x=1&amp;y=2</uri><titel>T</titel>` +
				`<gueltigkeit><beginn>2024-01-01T00:00:00Z</beginn></gueltigkeit>` +
				`<dynamischeParameter><typ><code>001</code></typ><parameterName>ars</parameterName></dynamischeParameter>` +
				`<dynamischeParameter><typ>100</typ><parameterName>oe</parameterName></dynamischeParameter></modulUrsprungsportal>` +
				`<modulUrsprungsportal><uri>https://b.example/</uri></modulUrsprungsportal><modulUrsprungsportal><titel>no address</titel></modulUrsprungsportal></leistung>`,
			&xzufi.Leistung{ID: leistung, Portals: []xzufi.Link{
				{
					Lang: "de", URL: "https://a.example/?x=1&y=2", Title: "T", Validity: []xzufi.Period{{Begin: utc("2024-01-01T00:00:00Z")}},
					Parameters: []xzufi.Parameter{{"001", "ars"}, {"100", "oe"}},
				},
				{URL: "https://b.example/"},
			}},
		},
		{
			"typisierung, gueltigkeitGebietID, herausgeber, gueltigkeit",
			`<leistung>` + idLeistung + `<typisierung listURI="urn:de:fim:leika:typisierung"><code>2/3a</code></typisierung><typisierung><code>11</code></typisierung>` +
				`<gueltigkeitGebietID ` + rs + `>01</gueltigkeitGebietID><gueltigkeitGebietID schemeID="urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:rs:2021-07-31">120645410</gueltigkeitGebietID>` +
				`<herausgeber><id schemeAgencyID="B100019">B100019</id><bezeichnung>Bund</bezeichnung></herausgeber>` +
				`<gueltigkeit><beginn>1970-01-01T00:00:00Z</beginn><ende>2026-12-31</ende></gueltigkeit><gueltigkeit/></leistung>`,
			&xzufi.Leistung{
				ID: leistung, Types: []string{"2/3a", "11"}, Areas: []xzufi.Area{"01", "120645410"}, Publisher: xzufi.ID{AgencyID: "B100019", Text: "B100019"},
				Validity: []xzufi.Period{{End: utc("2027-01-01T00:00:00+01:00")}, {}},
			},
		},
		{
			"what is unknown, foreign or nil is passed over, whatever is in it",
			`<leistung>` + idLeistung + `<idSekundaer schemeAgencyID="x">1</idSekundaer><struktur xsi:type="LeistungsstrukturObjekt" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id>7</id></struktur>` +
				`<x:id xmlns:x="urn:foreign">1</x:id><neu><id>2</id><leistung><referenzLeiKa><code>0</code></referenzLeiKa></leistung></neu>` +
				`<referenzLeiKa xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>` +
				`<gueltigkeit><ende xsi:nil=" 1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"></ende><ende i:nil="1" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">x</ende></gueltigkeit></leistung>`,
			&xzufi.Leistung{ID: leistung, Validity: []xzufi.Period{{}}},
		},
		{
			"comments, sections and instructions in the midst of texts",
			`<leistung><id schemeAgencyID="L100012" schemeID="Leistung">89<!-- 1 -->3<![CDATA[90]]>1<?x y?>9</id><!-- <id>1</id> --><referenzLeiKa><code>99036&#48;2<!---->6017<![CDATA[000]]></code></referenzLeiKa></leistung>`,
			&xzufi.Leistung{ID: leistung, Keys: []registry.Leistung{kfz}},
		},
		{
			"a Spezialisierung",
			`<spezialisierung><id schemeAgencyID="L100012" schemeID="Spezialisierung">1</id><leistungID schemeAgencyID="L100012" schemeID="Leistung">8939019</leistungID>` +
				`<gebietID ` + rs + `>010010000000</gebietID><modulText><leikaTextmodul><code>02</code></leikaTextmodul><inhalt languageCode="de">S</inhalt></modulText>` +
				`<modulUrsprungsportal><uri>https://s.example/</uri></modulUrsprungsportal><herausgeber><id>H</id></herausgeber><gueltigkeit><ende>2999-12-31T00:00:00Z</ende></gueltigkeit></spezialisierung>`,
			&xzufi.Spezialisierung{
				ID: xzufi.ID{AgencyID: "L100012", SchemeID: "Spezialisierung", Text: "1"}, Leistung: leistung, Areas: []xzufi.Area{"010010000000"},
				Names: []xzufi.Text{{"de", "S"}}, Portals: []xzufi.Link{{URL: "https://s.example/"}}, Publisher: xzufi.ID{Text: "H"}, Validity: []xzufi.Period{{}},
			},
		},
		{
			"an Onlinedienst",
			`<onlinedienst>` + idOnline + `<bezeichnung languageCode="de">i-Kfz</bezeichnung><bezeichnung languageCode="en">cars</bezeichnung>` +
				`<link languageCode="de"><typ listURI="urn:xoev-de:fim:codeliste:onlinedienstlinktyp"><code>01</code></typ><link>https://a.example/</link><titel>T</titel></link>` +
				`<link languageCode="en"><typ><code>02</code></typ><uri>https://b.example/</uri></link><vertrauensniveau><code>30</code></vertrauensniveau></onlinedienst>`,
			&xzufi.Onlinedienst{ID: online, Names: []xzufi.Text{{"de", "i-Kfz"}, {"en", "cars"}}, Links: []xzufi.Link{
				{Type: "01", Lang: "de", URL: "https://a.example/", Title: "T"}, {Type: "02", Lang: "en", URL: "https://b.example/"},
			}},
		},
		{
			"an Organisationseinheit, with the older form of Zustaendigkeit",
			`<organisationseinheit>` + idUnit + `<name><name languageCode="de">Amt</name><kurzbezeichnung>A</kurzbezeichnung></name><anschrift><ort>Kiel</ort></anschrift>` +
				`<zustaendigkeit><leistungID schemeAgencyID="L100012" schemeID="Leistung">8939019</leistungID><gebietID>01001</gebietID><gebietID>01002</gebietID></zustaendigkeit>` +
				`<zustaendigkeit><id schemeAgencyID="L100012">z</id><leistungID>5</leistungID><rolle><code>03</code></rolle><gueltigkeit><beginn>2025-06-01</beginn></gueltigkeit></zustaendigkeit></organisationseinheit>`,
			&xzufi.Organisationseinheit{ID: unit, Names: []xzufi.Text{{"de", "Amt"}}, Zustaendigkeiten: []xzufi.Zustaendigkeit{
				{Of: xzufi.ClassOrganisationseinheit, Parent: unit, Leistung: leistung, Areas: []xzufi.Area{"01001", "01002"}},
				{
					ID: xzufi.ID{AgencyID: "L100012", Text: "z"}, Of: xzufi.ClassOrganisationseinheit, Parent: unit, Leistung: xzufi.ID{Text: "5"}, Role: "03",
					Validity: []xzufi.Period{{Begin: utc("2025-06-01T00:00:00+02:00")}},
				},
			}},
		},
		{
			"a Formular",
			`<formular><id schemeAgencyID="L100012" schemeID="Formular">f</id><bezeichnung>F</bezeichnung><link><url>https://f.example/f.pdf</url></link><gueltigkeit><beginn>2025-01-01T24:00:00+01:00</beginn></gueltigkeit></formular>`,
			&xzufi.Formular{
				ID: xzufi.ID{AgencyID: "L100012", SchemeID: "Formular", Text: "f"}, Names: []xzufi.Text{{"", "F"}}, Links: []xzufi.Link{{URL: "https://f.example/f.pdf"}},
				Validity: []xzufi.Period{{Begin: utc("2025-01-02T00:00:00+01:00")}},
			},
		},
		{
			"a zustaendigkeitTransferObjekt, its parent behind it",
			`<zustaendigkeitTransferObjekt><zustaendigkeit><id schemeAgencyID="L100012" schemeID="ZustaendigkeitOnlinedienst">1</id>` +
				`<leistungID schemeAgencyID="L100012" schemeID="Leistung">8939019</leistungID><gebietID ` + rs + `>01001</gebietID><rolle><code>01</code></rolle></zustaendigkeit>` +
				`<uebergeordnetesObjektID schemeAgencyID="L100012" schemeID="Onlinedienst">331668</uebergeordnetesObjektID></zustaendigkeitTransferObjekt>`,
			&xzufi.Zustaendigkeit{
				ID: xzufi.ID{AgencyID: "L100012", SchemeID: "ZustaendigkeitOnlinedienst", Text: "1"}, Of: xzufi.ClassOnlinedienst, Parent: online, Leistung: leistung,
				Areas: []xzufi.Area{"01001"}, Role: "01",
			},
		},
		{
			"whose it is, by the parent alone",
			`<zustaendigkeitTransferObjekt><uebergeordnetesObjektID schemeID="Formular">f</uebergeordnetesObjektID><zustaendigkeit><id>1</id><leistungID>2</leistungID></zustaendigkeit></zustaendigkeitTransferObjekt>`,
			&xzufi.Zustaendigkeit{ID: xzufi.ID{Text: "1"}, Of: xzufi.ClassFormular, Parent: xzufi.ID{SchemeID: "Formular", Text: "f"}, Leistung: xzufi.ID{Text: "2"}},
		},
		{
			"AGS, Bund and a key without scheme are areas",
			`<zustaendigkeitTransferObjekt><uebergeordnetesObjektID>f</uebergeordnetesObjektID><zustaendigkeit><id>1</id><leistungID>2</leistungID>` +
				`<gebietID schemeID="urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:ags">01001000</gebietID><gebietID schemeID="ars">000000000000</gebietID><gebietID>010</gebietID></zustaendigkeit></zustaendigkeitTransferObjekt>`,
			&xzufi.Zustaendigkeit{ID: xzufi.ID{Text: "1"}, Parent: xzufi.ID{Text: "f"}, Leistung: xzufi.ID{Text: "2"}, Areas: []xzufi.Area{"01001000", "000000000000", "010"}},
		},
	} {
		for _, version := range []string{"2.1", "2.1.0", "2.2", "2.2.0", "2.3", "2.3.1"} {
			xml := wrap(version, `<schreibe>`+c.xml+`</schreibe>`)
			for _, x := range []string{xml, strings.Replace(xml, "2_2_0", "9_9_9", 1), strings.Replace(xml, "http://xoev.de/schemata/xzufi/2_2_0", "urn:other", 1)} {
				if d := same(c.want, only(t, x)); d != "" {
					t.Errorf("%s (%s): want -, got +\n%s", c.name, version, d)
				}
			}
		}
		if !strings.Contains(c.xml, "xmlns") && !strings.Contains(c.xml, "<!") && !strings.Contains(c.xml, "<?") {
			if d := same(c.want, only(t, prefixed(wrap("2.2.0", `<schreibe>`+c.xml+`</schreibe>`)))); d != "" {
				t.Errorf("%s, with a prefix: want -, got +\n%s", c.name, d)
			}
		}
	}
}

func TestLoesche(t *testing.T) {
	t.Parallel()
	for _, c := range xzufi.Classes() {
		got := only(t, wrap("2.2", `<loesche klasse="`+c.String()+`"><id schemeAgencyID="L100012" schemeID="x">1</id></loesche>`))
		if d := same(&xzufi.Delete{Of: c, ID: xzufi.ID{AgencyID: "L100012", SchemeID: "x", Text: "1"}}, got); d != "" {
			t.Errorf("want -, got +\n%s", d)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	d, err := read(strings.NewReader(`<?xml version="1.0" encoding="utf-8" standalone='yes'?>
<!-- before --><?pi?>
<any.name xzufiVersion="2.3.1" produktbezeichnung="P &amp; Q" produkthersteller="H">
  <nachrichtenkopf><nachrichtUUID> u </nachrichtUUID><erstelltDatumZeit>2026-01-01T02:00:00.123456789+01:00</erstelltDatumZeit>
    <empfaenger><name>Alle</name></empfaenger><sender><id>x</id><name>HamburgService</name></sender><neu><x/></neu></nachrichtenkopf>
  <transaktionID>t-1</transaktionID><transaktionPosition>3</transaktionPosition><neu>text <b>and</b> more</neu>
  <schreibe><gebiet><id>1</id></gebiet></schreibe><loesche klasse="Gebiet"><id>1</id></loesche>
  <loesche klasse="Formular"><id>1</id></loesche><schreibe><formular><id>2</id></formular></schreibe><schreibe><formular/></schreibe>
</any.name> <!-- behind --> <?pi ?>
`), xzufi.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := xzufi.Message{
		Version: "2.3.1", Product: "P & Q", Vendor: "H", UUID: "u", Created: utc("2026-01-01T01:00:00.123456789Z"), Sender: "x", Recipient: "Alle",
		Transaction: "t-1", Position: "3", Counts: xzufi.Counts{Written: 1, Deleted: 1, Quarantined: 1, Unknown: 2},
	}
	if diff := same(want, d.message); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if !slices.Equal(d.lines, []int{8, 8}) {
		t.Errorf("the objects begin in lines %v, want 8 and 8", d.lines)
	}
}

// The hand-made message of the material.
func TestSample(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: the sample message")
	}
	f, err := os.Open(filepath.Join(material, "domain", "xzufi", "synthetic-2.2-sample.xml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := read(f, xzufi.Limits{})
	if err != nil || len(d.faults) > 0 {
		t.Fatal(err, d.faults)
	}
	leistung := xzufi.ID{AgencyID: "L100012", SchemeID: "Leistung", Text: "8939019"}
	online := xzufi.ID{AgencyID: "L100012", SchemeID: "Onlinedienst", Text: "331668"}
	want := []xzufi.Object{
		&xzufi.Leistung{
			ID: leistung, Keys: []registry.Leistung{key(t, "99036026017000")}, Names: []xzufi.Text{{"de", "Außerbetriebsetzung für ein Fahrzeug beantragen"}},
			Areas: []xzufi.Area{"01"}, Validity: []xzufi.Period{{Begin: utc("2024-01-01T00:00:00Z")}},
		},
		&xzufi.Onlinedienst{ID: online, Names: []xzufi.Text{{"de", "i-Kfz Außerbetriebsetzung"}}, Links: []xzufi.Link{{
			Type: "01", URL: "https://www.behoerden-serviceportal.de/onlineantraege/onlineantrag?prozessKey=m40191.ab&oeId=L100012.OE.9029660&leistungId=99036026017000&p=010010",
		}}},
		&xzufi.Zustaendigkeit{
			ID: xzufi.ID{AgencyID: "L100012", SchemeID: "ZustaendigkeitOnlinedienst", Text: "1"}, Of: xzufi.ClassOnlinedienst, Parent: online, Leistung: leistung,
			Areas: []xzufi.Area{"01001"}, Role: "01",
		},
		&xzufi.Delete{Of: xzufi.ClassZustaendigkeit, ID: xzufi.ID{AgencyID: "L100012", SchemeID: "ZustaendigkeitOnlinedienst", Text: "999999"}},
	}
	if diff := same(want, d.objects); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if !slices.Equal(d.lines, []int{5, 12, 17, 21}) {
		t.Errorf("got lines %v", d.lines)
	}
}

// A broken object costs itself and no other, and is named.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	zust := func(inner string) string {
		return `<zustaendigkeitTransferObjekt><uebergeordnetesObjektID>p</uebergeordnetesObjektID><zustaendigkeit>` + inner + `</zustaendigkeit></zustaendigkeitTransferObjekt>`
	}
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ name, xml, reason, value string }{
		{"no id", `<leistung/>`, "Leistung: it has no id", ""},
		{"an empty id", `<leistung><id schemeAgencyID="a"> </id></leistung>`, "Leistung: id has no text", ""},
		{"two ids", `<leistung><id>1</id><id>2</id></leistung>`, "Leistung //1: a second id: //2", "2"},
		{"a long id", `<leistung><id>` + long + `</id></leistung>`, "has more than 256 bytes", ""},
		{"a line break in an id", `<leistung><id>1&#10;2</id></leistung>`, "has a control character", ""},
		{"a bad key", `<leistung><id>1</id><referenzLeiKa><code>9903602601700</code></referenzLeiKa></leistung>`, "13 digits: one is missing", "9903602601700"},
		{"a bad key in the newer form", `<leistung><id>1</id><referenzLeistungsschluessel>S1000020010000010122</referenzLeistungsschluessel></leistung>`, "want 14 digits", "S1000020010000010122"},
		{"a bad area", zust(`<id>1</id><leistungID>2</leistungID><gebietID>1001</gebietID>`), "Zustaendigkeit //1: area \"1001\": want 2, 3, 5, 9 or 12 digits", "1001"},
		{"letters in an area", `<leistung><id>1</id><gueltigkeitGebietID>0x</gueltigkeitGebietID></leistung>`, "want 2, 3, 5, 9 or 12 digits", "0x"},
		{"a postcode", zust(`<id>1</id><leistungID>2</leistungID><gebietID schemeID="urn:de:plz">24937</gebietID>`), `area "24937" is of scheme "urn:de:plz"`, "urn:de:plz"},
		{"a bad begin", `<formular><id>1</id><gueltigkeit><beginn>1.1.2026</beginn></gueltigkeit></formular>`, "beginn: time \"1.1.2026\"", "1.1.2026"},
		{"a bad end", `<onlinedienst><id>1</id><gueltigkeit><ende>2026-02-30</ende></gueltigkeit></onlinedienst>`, "ende: time", "2026-02-30"},
		{"a begin behind its end", `<leistung><id>1</id><gueltigkeit><beginn>2026-02-02</beginn><ende>2026-02-01</ende></gueltigkeit></leistung>`, "beginn 2026-02-02T00:00:00+01:00 is not before ende 2026-02-02T00:00:00+01:00", ""},
		{"a time that does not exist", `<leistung><id>1</id><gueltigkeit><beginn>2027-03-28T02:30:00</beginn></gueltigkeit></leistung>`, "does not exist in Europe/Berlin", ""},
		{"another language of a name", `<onlinedienst><id>1</id><bezeichnung languageCode="pl">x</bezeichnung></onlinedienst>`, `languageCode "pl"; want de or en`, "pl"},
		{"another language of a link", `<onlinedienst><id>1</id><link languageCode="de-DE"><link>https://a/</link></link></onlinedienst>`, `languageCode "de-DE"; want de or en`, "de-DE"},
		{"another language of a module", `<leistung><id>1</id><modulText><leikaTextmodul><code>02</code></leikaTextmodul><inhalt languageCode="fr">x</inhalt></modulText></leistung>`, `languageCode "fr"; want de or en`, "fr"},
		{"a long title", `<onlinedienst><id>1</id><bezeichnung>` + strings.Repeat("x", 17<<10) + `</bezeichnung></onlinedienst>`, "a text has more than 16384 bytes", ""},
		{"many names", `<onlinedienst><id>1</id>` + strings.Repeat(`<bezeichnung>x</bezeichnung>`, 201) + `</onlinedienst>`, "it has more than 200 names", ""},
		{"a Spezialisierung of nothing", `<spezialisierung><id>1</id></spezialisierung>`, "LeistungSpezialisierung //1: it has no leistungID", ""},
		{"a Zustaendigkeit without id", zust(`<leistungID>2</leistungID>`), "Zustaendigkeit: it has no id", ""},
		{"a Zustaendigkeit for nothing", zust(`<id schemeAgencyID="a" schemeID="b">1</id>`), "Zustaendigkeit a/b/1: it has no leistungID", ""},
		{"a Zustaendigkeit of nobody", `<zustaendigkeitTransferObjekt><zustaendigkeit><id>1</id><leistungID>2</leistungID></zustaendigkeit></zustaendigkeitTransferObjekt>`, "has no uebergeordnetesObjektID", ""},
		{"an empty transfer object", `<zustaendigkeitTransferObjekt><uebergeordnetesObjektID>1</uebergeordnetesObjektID></zustaendigkeitTransferObjekt>`, "has no zustaendigkeit", ""},
	} {
		good := `<schreibe><formular><id>g</id></formular></schreibe>`
		d, err := read(strings.NewReader(wrap("2.2", good+"\n<schreibe>"+c.xml+"</schreibe>\n"+good)), xzufi.Limits{})
		if err != nil || len(d.objects) != 2 || len(d.faults) != 1 || d.message.Quarantined != 1 || d.message.Written != 2 {
			t.Errorf("%s: got %d objects, faults %v, %v", c.name, len(d.objects), d.faults, err)
			continue
		}
		f := d.faults[0]
		if !strings.Contains(f.Reason, c.reason) || c.value != "" && f.Value != c.value || f.Origin.Line != 2 || f.Origin.File != "a.xml" || f.Delete {
			t.Errorf("%s: got %+v", c.name, f)
		}
	}
	d, err := read(strings.NewReader(wrap("2.2", `<loesche klasse="Leistung"><id></id></loesche><loesche klasse="Leistung"/>`)), xzufi.Limits{})
	if err != nil || len(d.faults) != 2 || !d.faults[0].Delete || d.faults[1].Class != xzufi.ClassLeistung {
		t.Errorf("loesche without id: %v, %v", d.faults, err)
	}
}

// In the older form one broken Zustaendigkeit costs itself, not the unit.
func TestABrokenZustaendigkeitLeavesItsUnit(t *testing.T) {
	t.Parallel()
	d, err := read(strings.NewReader(wrap("2.1", `<schreibe><organisationseinheit><id>u</id>
<zustaendigkeit><leistungID>1</leistungID><gebietID>01</gebietID></zustaendigkeit>
<zustaendigkeit><id>z</id><leistungID>1</leistungID><gebietID>1</gebietID></zustaendigkeit>
<zustaendigkeit><leistungID>2</leistungID><gebietID>02</gebietID></zustaendigkeit></organisationseinheit></schreibe>`)), xzufi.Limits{})
	if err != nil || len(d.objects) != 1 || len(d.faults) != 1 || d.faults[0].Origin.Line != 3 || d.faults[0].ID.Text != "z" || d.faults[0].Class != xzufi.ClassZustaendigkeit {
		t.Fatalf("got %v, faults %+v, %v", d.objects, d.faults, err)
	}
	u := xzufi.ID{Text: "u"}
	want := []xzufi.Zustaendigkeit{
		{Of: xzufi.ClassOrganisationseinheit, Parent: u, Leistung: xzufi.ID{Text: "1"}, Areas: []xzufi.Area{"01"}},
		{Of: xzufi.ClassOrganisationseinheit, Parent: u, Leistung: xzufi.ID{Text: "2"}, Areas: []xzufi.Area{"02"}},
	}
	if diff := same(want, d.objects[0].(*xzufi.Organisationseinheit).Zustaendigkeiten); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// Dates and times as systems write them (R7).
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, begin, end string }{
		{"2026-06-30", "2026-06-30T00:00:00+02:00", "2026-07-01T00:00:00+02:00"},
		{"2026-06-30Z", "2026-06-30T00:00:00Z", "2026-07-01T00:00:00Z"},
		{"2026-06-30+02:00", "2026-06-30T00:00:00+02:00", "2026-07-01T00:00:00+02:00"},
		{"2026-06-30T10:20:51.102Z", "2026-06-30T10:20:51.102Z", "2026-06-30T10:20:51.102Z"},
		{"2026-06-30T10:20:48.754836774Z", "2026-06-30T10:20:48.754836774Z", "2026-06-30T10:20:48.754836774Z"},
		{"2026-06-30T10:20:48", "2026-06-30T10:20:48+02:00", "2026-06-30T10:20:48+02:00"},
		{"2026-01-30T10:20:48.5", "2026-01-30T10:20:48.5+01:00", "2026-01-30T10:20:48.5+01:00"},
		{"2026-01-30T10:20:48-05:00", "2026-01-30T10:20:48-05:00", "2026-01-30T10:20:48-05:00"},
		{"2026-12-31T24:00:00", "2027-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		{"1970-01-01T00:00:00Z", "", ""},
		{"2999-12-31", "", ""},
		{"2999-12-31T23:59:59.999Z", "", ""},
		{"2999-12-31Z", "", ""},
	} {
		for i, want := range []string{c.begin, c.end} {
			field := [...]string{"beginn", "ende"}[i]
			o := only(t, wrap("2.2", `<schreibe><formular><id>1</id><gueltigkeit><`+field+`>`+c.text+`</`+field+`></gueltigkeit></formular></schreibe>`))
			p := o.(*xzufi.Formular).Validity[0]
			got := [...]time.Time{p.Begin, p.End}[i]
			if want == "" && !got.IsZero() || want != "" && !got.Equal(utc(want)) {
				t.Errorf("%s %s: got %v, want %q", field, c.text, got, want)
			}
		}
	}
}

// A message that is not what it should be is refused whole, with the place, what is there and what is allowed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	leistung := `<schreibe><leistung><id>1</id></leistung></schreibe>`
	for _, c := range []struct {
		name, xml string
		cause     source.Cause
		want      string
	}{
		{"no byte", "", source.CauseEmpty, "a.xml:1:1: the file is empty"},
		{"white space", " \n ", source.CauseTruncated, "before its root element"},
		{"a declaration alone", `<?xml version="1.0"?>`, source.CauseTruncated, "before its root element"},
		{"half a declaration", `<?xml version="1.0"`, source.CauseSchema, "the XML declaration has no end"},
		{"XML 1.1", `<?xml version="1.1"?><a/>`, source.CauseSchema, `XML version "1.1"; want 1.0`},
		{"no XML", `{"xzufiObjekte": ""}`, source.CauseSchema, `text "{\"xzufiObjek" in the file outside its root element; there is none`},
		{"a document type", `<!DOCTYPE a><a/>`, source.CauseSchema, "a.xml:1:1: a document type declaration; a message has none"},
		{"a document type behind the declaration", "<?xml version='1.0'?>\n<!DOCTYPE m [<!ENTITY a 'b'>]>" + wrap("2.2", ""), source.CauseSchema, "a.xml:2:1: a document type declaration"},
		{"an entity", wrap("2.2", "<x>&lol;</x>"), source.CauseSchema, "reference &lol; to an unknown entity"},
		{"an entity in an attribute", wrap("2.2", "<x a='&lol;'/>"), source.CauseSchema, "reference &lol; to an unknown entity"},
		{"an endless reference", wrap("2.2", "<x>&"+strings.Repeat("a", 100)+"</x>"), source.CauseSchema, "is no reference"},
		{"a reference to nothing", wrap("2.2", "<x>&#0;</x>"), source.CauseSchema, "unknown entity"},
		{"a reference to half a pair", wrap("2.2", "<x>&#xD800;</x>"), source.CauseSchema, "unknown entity"},
		{"a reference beyond all characters", wrap("2.2", "<x>&#x110000;</x>"), source.CauseSchema, "unknown entity"},
		{"an ampersand", wrap("2.2", "<x>a & b</x>"), source.CauseSchema, "is no reference; want &amp;"},
		{"UTF-16", "\xFF\xFE<\x00m\x00", source.CauseSchema, "the file is UTF-16 or UTF-32; a message is written in UTF-8"},
		{"UTF-16 without a mark", "\x00<\x00m", source.CauseSchema, "the file is UTF-16 or UTF-32"},
		{"ISO-8859-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><m>\xFC</m>", source.CauseSchema, `encoding "ISO-8859-1"; a message is written in UTF-8`},
		{"ISO-8859-1, undeclared", wrap("2.2", "\n<x>\xFCber</x>"), source.CauseSchema, "a.xml:2:4: these bytes are not UTF-8"},
		{"an overlong character", wrap("2.2", "<x>\xC0\x80</x>"), source.CauseSchema, "these bytes are not UTF-8"},
		{"half a pair in UTF-8", wrap("2.2", "<x>\xED\xA0\x80</x>"), source.CauseSchema, "these bytes are not UTF-8"},
		{"half a character at the end", wrap("2.2", "")[:30] + "\xC3", source.CauseSchema, "these bytes are not UTF-8"},
		{"NUL", wrap("2.2", "<x>\x00</x>"), source.CauseSchema, "character U+0000; XML allows it nowhere"},
		{"a bell", wrap("2.2", "<x a='\a'/>"), source.CauseSchema, "character U+0007"},
		{"no character", wrap("2.2", "<x>\uFFFF</x>"), source.CauseSchema, "character U+FFFF"},
		{"no version", `<m>` + head + `</m>`, source.CauseSchema, "the root <m> has no xzufiVersion; want 2.1, 2.2 or 2.3"},
		{"another version", wrap("3.0", ""), source.CauseSchema, `has xzufiVersion "3.0"; want 2.1, 2.2 or 2.3`},
		{"a version like one", wrap("2.10", ""), source.CauseSchema, `has xzufiVersion "2.10"`},
		{"no nachrichtenkopf", `<m xzufiVersion="2.2">` + leistung + `</m>`, source.CauseSchema, "the message has no nachrichtenkopf"},
		{"two of them", wrap("2.2", head), source.CauseSchema, "a second nachrichtenkopf; a message has one"},
		{"an empty schreibe", wrap("2.2", "\n  <schreibe> </schreibe>"), source.CauseSchema, "a.xml:2:3: a schreibe is empty; it holds one of leistung,"},
		{"a full schreibe", wrap("2.2", "<schreibe><formular><id>1</id></formular>\n<formular><id>1</id></formular></schreibe>"), source.CauseSchema, "a.xml:2:1: a schreibe holds a second object; it holds one of leistung,"},
		{"text in a schreibe", wrap("2.2", "<schreibe>x<formular/></schreibe>"), source.CauseSchema, `text "x<formular/>" in <schreibe>; there is none`},
		{"a section in a schreibe", wrap("2.2", "<schreibe><![CDATA[x]]></schreibe>"), source.CauseSchema, "a CDATA section in <schreibe>"},
		{"text in the root", wrap("2.2", "x"), source.CauseSchema, "in <m>; there is none"},
		{"a loesche of no class", wrap("2.2", "<loesche><id>1</id></loesche>"), source.CauseSchema, "a loesche has no klasse; want one of Leistung,"},
		{"the file ends in a tag", wrap("2.2", leistung)[:250], source.CauseTruncated, "the file ends inside <"},
		{"the file ends in a text", wrap("2.2", "<x>abc")[:len(wrap("2.2", "<x>abc"))-4], source.CauseTruncated, "the file ends inside <x>"},
		{"the file ends in a comment", wrap("2.2", "<!-- abc"), source.CauseTruncated, "the file ends inside <m>"},
		{"the file ends in a section", wrap("2.2", "<x><![CDATA["), source.CauseTruncated, "the file ends inside <x>"},
		{"the file ends before its end", strings.TrimSuffix(wrap("2.2", leistung), "</m>"), source.CauseTruncated, "the file ends inside <m>"},
		{"crossed tags", wrap("2.2", "<a><b></a></b>"), source.CauseSchema, "</a> where <b> is to be closed"},
		{"a wrong prefix at the end", `<a:m xmlns:a="x" xmlns:b="x" xzufiVersion="2.2">` + head + `</b:m>`, source.CauseSchema, "</b:m> where <a:m> is to be closed"},
		{"one tag too many", wrap("2.2", "") + "</m>", source.CauseSchema, `"</m>" behind the root element`},
		{"a second root", wrap("2.2", "") + "<m/>", source.CauseSchema, `"<m/>" behind the root element`},
		{"text behind the root", wrap("2.2", "") + "x", source.CauseSchema, `"x" behind the root element`},
		{"a closing tag first", "</m>", source.CauseSchema, `"</m>" before the root element`},
		{"a declaration too late", " <?xml version='1.0'?>" + wrap("2.2", ""), source.CauseSchema, "the XML declaration stands at the very beginning"},
		{"a declaration inside", wrap("2.2", "<?xml version='1.0'?>"), source.CauseSchema, "the XML declaration stands at the very beginning"},
		{"an attribute twice", wrap("2.2", `<x a="1" a="2"/>`), source.CauseSchema, `an element has the attribute "a" twice`},
		{"an attribute without quotes", wrap("2.2", `<x a=1/>`), source.CauseSchema, `the value of "a" begins with "1/></m>"`},
		{"an attribute without value", wrap("2.2", `<x a/>`), source.CauseSchema, `attribute "a" is followed by "/></m>"; want ="value"`},
		{"attributes without space", wrap("2.2", `<x a="1"b="2"/>`), source.CauseSchema, "an attribute follows after a space"},
		{"a < in a value", wrap("2.2", `<x a="<"/>`), source.CauseSchema, `the value of "a" has a <; want &lt;`},
		{"]]> in a text", wrap("2.2", `<x>a]]>b</x>`), source.CauseSchema, "a text has ]]>; want ]]&gt;"},
		{"-- in a comment", wrap("2.2", `<!-- a -- b -->`), source.CauseSchema, "a comment has --"},
		{"a name with a digit first", wrap("2.2", `<1/>`), source.CauseSchema, `a tag has "1/></m>" where a name begins`},
		{"a space before the name", wrap("2.2", `< a/>`), source.CauseSchema, "where a name begins"},
		{"two colons", wrap("2.2", `<a:b:c/>`), source.CauseSchema, "with one colon between them"},
		{"a multiplication sign in a name", wrap("2.2", `<a×/>`), source.CauseSchema, "a character that names do not have"},
		{"a prefix of nothing", wrap("2.2", `<a:b/>`), source.CauseSchema, `prefix "a" is not declared`},
		{"a prefix of nothing in an attribute", wrap("2.2", `<b a:c="1"/>`), source.CauseSchema, `prefix "a" is not declared`},
		{"a prefix bound to nothing", wrap("2.2", `<b xmlns:a=""/>`), source.CauseSchema, `prefix "a" cannot be bound to ""`},
		{"a prefix beyond its element", wrap("2.2", `<a:b xmlns:a="x"/><a:b/>`), source.CauseSchema, `prefix "a" is not declared`},
		{"a slash in a tag", wrap("2.2", `<a / >`), source.CauseSchema, `a tag has " ></m>"; want > or />`},
		{"too many attributes", wrap("2.2", "<a"+many(65, ` a%d=""`)+"/>"), source.CauseOversized, "an element has more than 64 attributes"},
		{"a long name", wrap("2.2", "<"+strings.Repeat("a", 257)+"/>"), source.CauseOversized, "a name has more than 256 bytes"},
		{"a long name of an attribute", wrap("2.2", "<a "+strings.Repeat("a", 257)+"=''/>"), source.CauseOversized, "a name has more than 256 bytes"},
		{"too many prefixes", wrap("2.2", "<a"+many(40, ` xmlns:a%d="x"`)+"><a"+many(40, ` xmlns:a%d="x"`)+"/></a>"), source.CauseOversized, "more than 64 prefixes are in force"},
		{"something else", wrap("2.2", `<!ELEMENT a>`), source.CauseSchema, "want an element, a comment or text"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.xml), iotest.OneByteReader(strings.NewReader(c.xml)), iotest.DataErrReader(strings.NewReader(c.xml))} {
			_, err := read(r, xzufi.Limits{})
			var refusal *source.Refusal
			if !errors.As(err, &refusal) || refusal.Cause != c.cause || !strings.Contains(err.Error(), c.want) || refusal.Origin.Source != "test" {
				t.Errorf("%s: got %v (cause %v), want %s, %q", c.name, err, refusal, c.cause, c.want)
			}
		}
	}
}

// many is a format with the numbers from 0 on.
func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestWhoeverStopsTheReadingIsHeard(t *testing.T) {
	t.Parallel()
	xml := wrap("2.2", `<schreibe><formular><id>1</id></formular></schreibe><schreibe><formular/></schreibe>`)
	stop := errors.New("stop")
	emit := func(int, xzufi.Object) error { return nil }
	if _, err := xzufi.Read(context.Background(), strings.NewReader(xml), xzufi.Options{}, func(int, xzufi.Object) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("emit: got %v", err)
	}
	if _, err := xzufi.Read(context.Background(), strings.NewReader(xml), xzufi.Options{Fault: func(xzufi.Fault) error { return stop }}, emit); !errors.Is(err, stop) {
		t.Errorf("fault: got %v", err)
	}
	if m, err := xzufi.Read(context.Background(), strings.NewReader(xml), xzufi.Options{}, emit); err != nil || m.Quarantined != 1 {
		t.Errorf("nobody listens to faults: got %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := xzufi.Read(ctx, strings.NewReader(xml), xzufi.Options{}, emit); !errors.Is(err, context.Canceled) {
		t.Errorf("context: got %v", err)
	}
	_, err := xzufi.Read(context.Background(), io.MultiReader(strings.NewReader(xml[:100]), iotest.ErrReader(stop)), xzufi.Options{File: "a.xml"}, emit)
	var refusal *source.Refusal
	if !errors.Is(err, stop) || !errors.As(err, &refusal) || refusal.Cause != source.CauseTruncated {
		t.Errorf("reader: got %v", err)
	}
	if _, err = xzufi.Read(context.Background(), idle{}, xzufi.Options{}, emit); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: got %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }
