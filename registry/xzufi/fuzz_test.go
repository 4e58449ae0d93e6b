// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// judge reads any bytes: the result does not depend on the window, an error is a refusal with a place, and what is
// taken is XML for encoding/xml too.
func judge(t testing.TB, b []byte) (taken bool) {
	t.Helper()
	got, err := result(b, xzufi.Options{File: "f"})
	var refusal *source.Refusal
	if err != nil && (!errors.As(err, &refusal) || refusal.Origin.Line < 1 || refusal.Origin.Col < 1 || refusal.Text == "") {
		t.Fatalf("an error that is no refusal, or without a place: %v\n%q", err, b)
	}
	for _, window := range []int{300, 1000} {
		again, err2 := result(b, xzufi.Options{File: "f"}.WithWindow(window))
		switch {
		case err2 != nil && strings.Contains(err2.Error(), "a tag has more than"), err2 != nil && strings.Contains(err2.Error(), "the XML declaration has no end"):
		case (err == nil) != (err2 == nil), err == nil && got != again:
			t.Fatalf("window of %d bytes: %v, %v\n%s\n%s\n%q", window, err, err2, got, again, b)
		}
	}
	if err != nil {
		return false
	}
	if why := notXML(b); why != nil {
		t.Fatalf("taken, but %v\n%q", why, b)
	}
	return true
}

// notXML asks encoding/xml. It takes names from an older edition of XML, so names beyond ASCII are not asked for.
func notXML(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) && strings.Contains(syntax.Msg, "invalid XML name") {
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := token.(xml.Directive); ok {
			return errors.New("it has a directive")
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(everything()))
	for _, s := range []string{
		"", "\xEF\xBB\xBF<m/>", wrap("2.1", ""), prefixed(wrap("2.2", "")), wrap("2.3.1", "<loesche klasse='Leistung'><id>1</id></loesche>"),
		wrap("2.2", "<schreibe><leistung><id>1</id></leistung></schreibe>"), wrap("2.2", "<!-- x --><?a b?><a><![CDATA[<]]></a>"),
		wrap("2.2", "<a b='&#60;&lt;'>&#x10FFFF;</a>"), "<?xml version='1.0' encoding='ascii'?>" + wrap("2.2", ""), "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
		wrap("2.2", "<p:a xmlns:p='x'><p:b p:c='1'/></p:a>"), wrap("2.2", "<schreibe><formular><id>\xC3</id></formular></schreibe>"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { judge(t, b) })
}

// FuzzObject puts what is fuzzed into an object, so that the fuzzer need not find the way there.
func FuzzObject(f *testing.F) {
	for _, c := range []struct{ class, inner string }{
		{"leistung", "<id schemeID='a'>1</id><referenzLeiKa><code>99036026017000</code></referenzLeiKa><gueltigkeit><beginn>2024-01-01T24:00:00Z</beginn><ende>2025-01-01</ende></gueltigkeit>"},
		{"leistung", "<modulText><leikaTextmodul><code>02</code></leikaTextmodul><inhalt languageCode='de'>x</inhalt></modulText><herausgeber><id>1</id></herausgeber>"},
		{"spezialisierung", "<id>1</id><leistungID>1</leistungID><gebietID>01</gebietID>"},
		{"onlinedienst", "<id>1</id><link languageCode='en'><typ><code>01</code></typ><link>https://a</link><dynamischeParameter><typ>001</typ></dynamischeParameter></link>"},
		{"organisationseinheit", "<id>1</id><name><name>n</name></name><zustaendigkeit><leistungID>1</leistungID><rolle>01</rolle></zustaendigkeit>"},
		{"zustaendigkeitTransferObjekt", "<uebergeordnetesObjektID>1</uebergeordnetesObjektID><zustaendigkeit><id>1</id><leistungID>2</leistungID></zustaendigkeit>"},
		{"formular", "<id><!-- --><![CDATA[x]]></id>"},
	} {
		f.Add(c.class, c.inner)
	}
	f.Fuzz(func(t *testing.T, class, inner string) {
		judge(t, []byte(wrap("2.2", "<schreibe><"+class+">"+inner+"</"+class+"></schreibe>")))
	})
}
