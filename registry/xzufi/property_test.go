// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// The parts of which random objects are made.

func drawID(t *rapid.T, schemes ...string) xzufi.ID {
	return xzufi.ID{
		AgencyID: rapid.SampledFrom([]string{"", "L100012", "B100019", `a&"<>'`}).Draw(t, "agency"),
		SchemeID: rapid.SampledFrom(append(schemes, "", "x y")).Draw(t, "scheme"),
		Text:     rapid.StringMatching(`[a-zA-Z0-9._<&]([ a-z0-9ß]{0,8}[a-z])?`).Draw(t, "id"),
	}
}

func drawList[T any](t *rapid.T, what string, limit int, draw func() T) []T {
	var list []T
	for range rapid.IntRange(0, limit).Draw(t, what) {
		list = append(list, draw())
	}
	return list
}

func drawNames(t *rapid.T) []xzufi.Text {
	return drawList(t, "names", 3, func() xzufi.Text {
		return xzufi.Text{
			Lang: rapid.SampledFrom([]string{"", "de", "en"}).Draw(t, "lang"),
			Text: rapid.StringMatching(`[A-Zß€𝄞&<>"'\]](( )?[a-z\]>&;]){0,12}`).Draw(t, "text"),
		}
	})
}

func drawPeriods(t *rapid.T) []xzufi.Period {
	return drawList(t, "periods", 2, func() (p xzufi.Period) {
		begin := time.Unix(rapid.Int64Range(1e9, 3e9).Draw(t, "begin"), rapid.SampledFrom([]int64{0, 102e6, 754836774}).Draw(t, "nanoseconds"))
		if rapid.Bool().Draw(t, "begins") {
			p.Begin = begin.UTC()
		}
		if rapid.Bool().Draw(t, "ends") {
			p.End = begin.Add(time.Duration(1 + rapid.Int64Range(0, 1e18).Draw(t, "length"))).In(registry.Berlin())
		}
		return p
	})
}

func drawAreas(t *rapid.T) []xzufi.Area {
	return drawList(t, "areas", 3, func() xzufi.Area {
		return xzufi.Area(rapid.StringMatching(`[0-9]{2}|[0-9]{3}|[0-9]{5}|[0-9]{8}|[0-9]{9}|[0-9]{12}`).Draw(t, "area"))
	})
}

func drawLinks(t *rapid.T, types, parameters bool) []xzufi.Link {
	return drawList(t, "links", 3, func() xzufi.Link {
		l := xzufi.Link{
			Lang:     rapid.SampledFrom([]string{"", "de", "en"}).Draw(t, "lang"),
			URL:      rapid.StringMatching(`https://[a-z]{1,5}\.example/[a-z?&="<>%]{0,10}`).Draw(t, "url"),
			Title:    rapid.StringMatching(`([A-Zäöü]( [a-z])?)?`).Draw(t, "title"),
			Validity: drawPeriods(t),
		}
		if types {
			l.Type = rapid.SampledFrom([]string{"", "01", "02"}).Draw(t, "type")
		}
		if parameters {
			l.Parameters = drawList(t, "parameters", 2, func() xzufi.Parameter {
				return xzufi.Parameter{Type: rapid.SampledFrom([]string{"001", "100"}).Draw(t, "type"), Name: rapid.StringMatching(`[a-zA-Z_]{1,6}`).Draw(t, "name")}
			})
		}
		return l
	})
}

func drawCompetence(t *rapid.T, of xzufi.Class) xzufi.Zustaendigkeit {
	return xzufi.Zustaendigkeit{
		ID: drawID(t, "Zustaendigkeit"+of.String()), Of: of, Leistung: drawID(t, "Leistung"), Areas: drawAreas(t),
		Role: rapid.SampledFrom([]string{"", "01", "02", "03"}).Draw(t, "role"), Validity: drawPeriods(t),
	}
}

// drawNested draws the older form, in which a Zustaendigkeit may lack an id.
func drawNested(t *rapid.T, of xzufi.Class, parent xzufi.ID) []xzufi.Zustaendigkeit {
	return drawList(t, "competences", 2, func() xzufi.Zustaendigkeit {
		z := drawCompetence(t, of)
		z.Parent = parent
		if rapid.Bool().Draw(t, "nameless") {
			z.ID = xzufi.ID{}
		}
		return z
	})
}

func drawObject(t *rapid.T) xzufi.Object {
	switch c := rapid.SampledFrom(append(xzufi.Classes(), 0)).Draw(t, "class"); c {
	case xzufi.ClassLeistung:
		return &xzufi.Leistung{
			ID: drawID(t, "Leistung"), Names: drawNames(t), Portals: drawLinks(t, false, true), Areas: drawAreas(t), Validity: drawPeriods(t),
			Types: drawList(t, "types", 2, func() string { return rapid.SampledFrom([]string{"1", "2/3a", "11"}).Draw(t, "type") }),
			Keys: drawList(t, "keys", 2, func() registry.Leistung {
				l, err := registry.ParseLeistung(rapid.StringMatching(`[0-9]{14}`).Draw(t, "key"))
				if err != nil {
					t.Fatal(err)
				}
				return l
			}),
			Publisher: rapid.SampledFrom([]xzufi.ID{{}, {AgencyID: "B100019", SchemeID: "Herausgeber", Text: "B"}}).Draw(t, "publisher"),
		}
	case xzufi.ClassSpezialisierung:
		return &xzufi.Spezialisierung{
			ID: drawID(t, "Spezialisierung"), Leistung: drawID(t, "Leistung"), Names: drawNames(t), Portals: drawLinks(t, false, true), Areas: drawAreas(t), Validity: drawPeriods(t),
		}
	case xzufi.ClassOnlinedienst:
		id := drawID(t, c.String())
		return &xzufi.Onlinedienst{ID: id, Names: drawNames(t), Links: drawLinks(t, true, true), Validity: drawPeriods(t), Zustaendigkeiten: drawNested(t, c, id)}
	case xzufi.ClassOrganisationseinheit:
		id := drawID(t, c.String())
		return &xzufi.Organisationseinheit{ID: id, Names: drawNames(t), Validity: drawPeriods(t), Zustaendigkeiten: drawNested(t, c, id)}
	case xzufi.ClassFormular:
		id := drawID(t, c.String())
		return &xzufi.Formular{ID: id, Names: drawNames(t), Links: drawLinks(t, false, false), Validity: drawPeriods(t), Zustaendigkeiten: drawNested(t, c, id)}
	case xzufi.ClassZustaendigkeit:
		of := rapid.SampledFrom([]xzufi.Class{xzufi.ClassOrganisationseinheit, xzufi.ClassOnlinedienst, xzufi.ClassFormular}).Draw(t, "of")
		z := drawCompetence(t, of)
		z.ID.SchemeID = "Zustaendigkeit" + of.String()
		z.Parent = drawID(t, of.String())
		return &z
	default:
		return &xzufi.Delete{Of: rapid.SampledFrom(xzufi.Classes()).Draw(t, "of"), ID: drawID(t, "x")}
	}
}

// What is written is read: in each version, and however the reader's window lies.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		message := xzufi.Message{
			Version: rapid.SampledFrom([]string{"2.1", "2.1.0", "2.2", "2.2.0", "2.3", "2.3.1"}).Draw(t, "version"),
			Product: "P&Q", UUID: "u-1", Created: time.Unix(17e8, 5).UTC(), Sender: "S", Recipient: "R", Transaction: "t", Position: "2",
		}
		want := drawList(t, "objects", 5, func() xzufi.Object { return drawObject(t) })
		var b bytes.Buffer
		w := generate.NewMessageWriter(&b, &message)
		w.Filler = rapid.IntRange(0, 500).Draw(t, "filler")
		for _, o := range want {
			if err := w.Write(o); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		o := xzufi.Options{Fault: func(f xzufi.Fault) error { return errors.New(f.String()) }}
		o = o.WithWindow(rapid.IntRange(700, 2000).Draw(t, "window"))
		var got []xzufi.Object
		read, err := xzufi.Read(context.Background(), &b, o, func(_ int, o xzufi.Object) error {
			got = append(got, clone(o))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(want, got); diff != "" {
			t.Fatalf("want -, got +\n%s", diff)
		}
		read.Counts = xzufi.Counts{}
		if diff := same(message, read); diff != "" {
			t.Fatalf("want -, got +\n%s", diff)
		}
	})
}

// everything is a message in which everything occurs that the reader knows.
func everything() string {
	return `<?xml version="1.0" encoding="UTF-8"?><!-- c --><?p i?>
<x:m xmlns:x="http://xoev.de/schemata/xzufi/2_3_1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xzufiVersion='2.3.1' produktbezeichnung="&#x41;&amp;&#10;">
<x:nachrichtenkopf><x:nachrichtUUID>1</x:nachrichtUUID><x:erstelltDatumZeit>2026-01-01T02:00:00.5Z</x:erstelltDatumZeit><x:sender><x:name>S</x:name></x:sender></x:nachrichtenkopf>
<x:schreibe><x:leistung xmlns:y="urn:y"><x:id schemeAgencyID="L1" schemeID="Leistung">8<!-- c -->9<![CDATA[3]]>&#57;</x:id><y:id>7</y:id><x:referenzLeiKa><code>99036026017000</code></x:referenzLeiKa>
<x:modulText><x:leikaTextmodul><code>02</code></x:leikaTextmodul><x:inhalt languageCode="de">Außerbetriebsetzung 𝄞&lt;b&gt;</x:inhalt></x:modulText><x:modulText><x:inhalt>x</x:inhalt></x:modulText>
<x:modulUrsprungsportal><x:uri>https://a.example/?a&amp;b</x:uri><x:dynamischeParameter><x:typ><code>001</code></x:typ><x:parameterName>n</x:parameterName></x:dynamischeParameter></x:modulUrsprungsportal>
<x:typisierung><code>2a</code></x:typisierung><x:gueltigkeitGebietID>01</x:gueltigkeitGebietID><x:herausgeber><x:id>H</x:id></x:herausgeber><x:gueltigkeit><x:beginn>2024-01-01</x:beginn><x:ende xsi:nil="true"/></x:gueltigkeit></x:leistung></x:schreibe>
<x:schreibe><x:spezialisierung><x:id>1</x:id><x:leistungID>2</x:leistungID></x:spezialisierung></x:schreibe>
<x:schreibe><x:onlinedienst><x:id>1</x:id><x:bezeichnung>b</x:bezeichnung><x:link languageCode="en"><x:typ><code>01</code></x:typ><x:link>https://a.example/</x:link><x:titel>t</x:titel></x:link></x:onlinedienst></x:schreibe>
<x:schreibe><x:organisationseinheit><x:id>1</x:id><x:name><x:name>n</x:name></x:name><x:zustaendigkeit><x:leistungID>2</x:leistungID><x:gebietID>01001</x:gebietID></x:zustaendigkeit><x:zustaendigkeit/></x:organisationseinheit></x:schreibe>
<x:schreibe><x:zustaendigkeitTransferObjekt><x:uebergeordnetesObjektID schemeID="Formular">1</x:uebergeordnetesObjektID><x:zustaendigkeit><x:id>1</x:id><x:leistungID>2</x:leistungID><x:gebietID>x</x:gebietID></x:zustaendigkeit>
<x:zustaendigkeit><x:id>2</x:id><x:leistungID>2</x:leistungID><x:rolle><code>01</code></x:rolle></x:zustaendigkeit></x:zustaendigkeitTransferObjekt></x:schreibe>
<x:schreibe><x:formular><x:id>1</x:id></x:formular></x:schreibe><x:schreibe><x:neu a = "1"  b='"'/></x:schreibe>
<x:loesche klasse="Leistung"><x:id>1</x:id></x:loesche><x:loesche klasse="Formular"><x:id/></x:loesche>
</x:m><!-- e --> `
}

// result is all that a message gave, as text.
func result(xml []byte, o xzufi.Options) (string, error) {
	var b strings.Builder
	o.Fault = func(f xzufi.Fault) error {
		fmt.Fprintf(&b, "fault %d %v %+v\n", f.Class, f.ID, f.Fault)
		return nil
	}
	m, err := xzufi.Read(context.Background(), bytes.NewReader(xml), o, func(line int, o xzufi.Object) error {
		fmt.Fprintf(&b, "%d %T %+v\n", line, o, o)
		return nil
	})
	fmt.Fprintf(&b, "%+v\n", m)
	return b.String(), err
}

// Where the window ends is nobody's business.
func TestEachPlaceCanBeTheWindowsEnd(t *testing.T) {
	t.Parallel()
	xml := []byte(everything())
	want, err := result(xml, xzufi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(want, "fault") != 3 || strings.Count(want, "*xzufi.") != 7 {
		t.Fatalf("got %s", want)
	}
	for n := 260; n < len(xml)+30; n += 29 {
		got, err := result(xml, xzufi.Options{}.WithWindow(n))
		if err != nil || got != want {
			t.Fatalf("window of %d bytes: %v\n%s\nwant\n%s", n, err, got, want)
		}
	}
}

// A message that ends too early is refused, wherever it ends, and gives nothing that the whole does not give.
func TestEachPlaceCanBeTheFilesEnd(t *testing.T) {
	t.Parallel()
	xml := everything()
	end := strings.Index(xml, "</x:m>") + len("</x:m>")
	for n := 0; n < end; n += 1 + n%7 {
		d, err := read(iotest.DataErrReader(strings.NewReader(xml[:n])), xzufi.Limits{})
		var refusal *source.Refusal
		if !errors.As(err, &refusal) || n > 60 && refusal.Cause != source.CauseTruncated && !strings.Contains(refusal.Text, "UTF-8") {
			t.Fatalf("%d bytes: got %v and %d objects", n, err, len(d.objects))
		}
	}
}

// No changed byte makes the reader panic, hang or take what is not well-formed.
func TestNoChangedByteBreaksTheReader(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	xml := []byte(everything())
	taken := 0
	for range 500 {
		changed := bytes.Clone(xml)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(changed))
			switch random.IntN(3) {
			case 0:
				changed[at] = byte(random.IntN(256))
			case 1:
				changed = append(changed[:at], changed[at+1:]...)
			default:
				from := random.IntN(len(xml) - 20)
				changed = bytes.Join([][]byte{changed[:at], xml[from : from+random.IntN(20)], changed[at:]}, nil)
			}
		}
		if judge(t, changed) {
			taken++
		}
	}
	t.Logf("%d of 500 were taken", taken)
}
