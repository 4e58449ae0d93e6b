// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// Who writes what others read differently gains nothing: each of these messages has one meaning.
func TestTricks(t *testing.T) {
	t.Parallel()
	const xsi = `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
	root := func(attributes, inner string) string {
		return `<m xzufiVersion="2.2" ` + attributes + `>` + head + inner + `</m>`
	}
	one := `<schreibe><formular><id>1</id></formular></schreibe>`
	for _, c := range []struct {
		name, xml string
		want      []string // ids, of loesche with a minus, of faults with a question mark
		unknown   int
	}{
		{"a byte order mark", "\xEF\xBB\xBF<?xml version=\"1.0\"?>" + wrap("2.2", one), []string{"1"}, 0},
		{"a version with space around", `<m xzufiVersion=" 2.2&#9;">` + head + one + `</m>`, []string{"1"}, 0},
		{"no namespace at all", root("", one), []string{"1"}, 0},
		{"the prefix means something else inside", `<x:m xmlns:x="urn:a" x:xzufiVersion="2.2">` + strings.NewReplacer("</", "</x:", "<", "<x:").Replace(head) +
			`<x:schreibe><x:formular><x:id>1</x:id><x:id xmlns:x="urn:b">2</x:id></x:formular></x:schreibe><x:schreibe><x:formular xmlns:x="urn:b"><x:id>3</x:id></x:formular></x:schreibe></x:m>`, []string{"1"}, 1},
		{"the default means something else inside", wrap("2.2", `<schreibe xmlns="urn:b"><formular><id>2</id></formular></schreibe>`+one+`<schreibe><formular xmlns="urn:b"><id>2</id></formular></schreibe>`), []string{"1"}, 1},
		{"and is taken back", wrap("2.2", `<a xmlns="urn:b"/><schreibe xmlns=""><formular xmlns="http://xoev.de/schemata/xzufi/2_1_0"><id xmlns="">1</id></formular></schreibe>`), []string{"1"}, 0},
		{"another prefix for the same", root(`xmlns="urn:a" xmlns:b="urn:a"`, `<b:schreibe><formular><b:id b:schemeID="s">1</b:id></formular></b:schreibe>`), []string{"1"}, 0},
		{"an attribute of somebody else", root(`xmlns:b="urn:b"`, `<loesche klasse="Formular" b:klasse="Leistung"><id b:schemeID="x">1</id></loesche>`), []string{"-1"}, 0},
		{"a namespace with a reference in it", root(`xmlns="urn:a" xmlns:b="urn:&#97;"`, `<b:schreibe><b:formular><b:id>1</b:id></b:formular></b:schreibe>`), []string{"1"}, 0},
		{"a nil object", root(xsi, `<schreibe><formular xsi:nil="true"><id>1</id></formular></schreibe>`), nil, 1},
		{"a nil schreibe", root(xsi, `<schreibe xsi:nil="1"><formular><id>1</id></formular></schreibe>`), nil, 0},
		{"a nil id", root(xsi, `<schreibe><formular><id xsi:nil="true">1</id></formular></schreibe>`), []string{"?"}, 0},
		{"a nil that is none", root(`xmlns:xsi="urn:x"`, `<schreibe><formular><id xsi:nil="true" nil="true">1</id></formular></schreibe>`), []string{"1"}, 0},
		{"ids in pieces", root("", `<schreibe><formular><id>1<!--2--><?p 3?><![CDATA[4]]>&#53;<x>6</x><![CDATA[]]>7</id></formular></schreibe>`), []string{"1457"}, 0},
		{"an id of markup", root("", `<schreibe><formular><id>&lt;id&gt;1<![CDATA[</id>]]></id></formular></schreibe>`), []string{"<id>1</id>"}, 0},
		{"a section in a section", root("", `<schreibe><formular><id><![CDATA[<![CDATA[]]>]]&gt;</id></formular></schreibe>`), []string{"<![CDATA[]]>"}, 0},
		{"a message in a comment", root("", `<!-- <schreibe><formular><id>2</id></formular></schreibe> -->`+one), []string{"1"}, 0},
		{"a message in an attribute", root("", `<neu a="&lt;/m>&lt;schreibe>" b='>'/>`), nil, 0},
		{"attributes in any quotes and spaces", root("", "<loesche\n\tklasse\r\n=\n'Formular'\n><id\n>1</id\n></loesche\t>"), []string{"-1"}, 0},
		{"a carriage return in an id", root("", "<schreibe><formular><id>1\r\n2</id></formular></schreibe>"), []string{"?"}, 0},
		{"a carriage return around an id", root("", "<schreibe><formular><id>\r\n1\r</id></formular></schreibe>"), []string{"1"}, 0},
		{"objects inside objects", root("", `<schreibe><formular><id>1</id><schreibe><formular><id>2</id></formular></schreibe></formular></schreibe>`), []string{"1"}, 0},
		{"an object twice", root("", one+one), []string{"1", "1"}, 0},
		{"a word for a class in capitals", root("", `<loesche klasse="FORMULAR"><id>1</id></loesche><schreibe><Formular><id>1</id></Formular></schreibe>`), nil, 2},
		{"a second id behind a broken one", root("", `<schreibe><formular><id/><id>2</id></formular></schreibe>`), []string{"?2"}, 0},
		{"two parents", root("", `<schreibe><zustaendigkeitTransferObjekt><uebergeordnetesObjektID>1</uebergeordnetesObjektID><uebergeordnetesObjektID>2</uebergeordnetesObjektID>`+
			`<zustaendigkeit><id>3</id><leistungID>4</leistungID></zustaendigkeit><zustaendigkeit><id>5</id><leistungID>4</leistungID></zustaendigkeit></zustaendigkeitTransferObjekt></schreibe>`), []string{"?3", "?5"}, 0},
		{"two Leistungen", root("", `<schreibe><zustaendigkeitTransferObjekt><uebergeordnetesObjektID>1</uebergeordnetesObjektID>`+
			`<zustaendigkeit><id>3</id><leistungID>4</leistungID><leistungID>5</leistungID></zustaendigkeit><zustaendigkeit><id>6</id><leistungID>4</leistungID></zustaendigkeit></zustaendigkeitTransferObjekt></schreibe>`), []string{"?3", "6"}, 0},
	} {
		d, err := read(strings.NewReader(c.xml), xzufi.Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, f := range d.faults {
			got = append(got, "?"+f.ID.Text)
		}
		for _, o := range d.objects {
			text := o.Identity().Text
			if _, ok := o.(*xzufi.Delete); ok {
				text = "-" + text
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) || d.message.Unknown != c.unknown {
			t.Errorf("%s: got %q and %d unknown ones, want %q and %d", c.name, got, d.message.Unknown, c.want, c.unknown)
		}
	}
}

// What an object leaves behind is not found in the next one, whose lists take the same memory.
func TestNothingStaysOfTheObjectBefore(t *testing.T) {
	t.Parallel()
	full := everything()
	from, to := strings.Index(full, "<x:schreibe>"), strings.Index(full, "</x:m>")
	empty := ""
	for _, class := range []string{"leistung", "spezialisierung", "onlinedienst", "organisationseinheit", "formular"} {
		empty += "<x:schreibe><x:" + class + "><x:id>e</x:id><x:leistungID>l</x:leistungID><x:link><x:link>u</x:link></x:link><x:modulUrsprungsportal><x:uri>u</x:uri></x:modulUrsprungsportal>" +
			"<x:zustaendigkeit><x:leistungID>l</x:leistungID></x:zustaendigkeit></x:" + class + "></x:schreibe>"
	}
	empty += "<x:schreibe><x:zustaendigkeitTransferObjekt><x:uebergeordnetesObjektID>p</x:uebergeordnetesObjektID><x:zustaendigkeit><x:id>e</x:id><x:leistungID>l</x:leistungID></x:zustaendigkeit></x:zustaendigkeitTransferObjekt></x:schreibe>"
	alone, err := read(strings.NewReader(full[:from]+empty+full[to:]), xzufi.Limits{})
	if err != nil || len(alone.faults) > 0 {
		t.Fatal(err, alone.faults)
	}
	rich := strings.ReplaceAll(full[from:to], "<x:leistungID>2</x:leistungID>",
		"<x:leistungID>2</x:leistungID><x:gebietID>01</x:gebietID><x:rolle>01</x:rolle><x:gueltigkeit><x:beginn>2024-01-01</x:beginn></x:gueltigkeit>")
	after, err := read(strings.NewReader(full[:from]+rich+rich+empty+full[to:]), xzufi.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(alone.objects, after.objects[len(after.objects)-len(alone.objects):]); diff != "" {
		t.Errorf("alone -, after others +\n%s", diff)
	}
}

// A deep look at one thing that is easily lost: the identity is all three texts.
func TestObjectsOfTwoSystemsMayHaveOneNumber(t *testing.T) {
	t.Parallel()
	d, err := read(strings.NewReader(wrap("2.2", `<schreibe><leistung><id schemeAgencyID="L100012">1</id><referenzLeiKa>99036026017000</referenzLeiKa></leistung></schreibe>`+
		`<schreibe><leistung><id schemeAgencyID="L100001">1</id></leistung></schreibe>`)), xzufi.Limits{})
	if err != nil || len(d.objects) != 2 || d.objects[0].Identity() == d.objects[1].Identity() {
		t.Fatalf("got %v, %v", d.objects, err)
	}
	if keys := d.objects[0].(*xzufi.Leistung).Keys; !slices.Equal(keys, []registry.Leistung{key(t, "99036026017000")}) {
		t.Errorf("got %v", keys)
	}
}
