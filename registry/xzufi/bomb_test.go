// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// flood gives head, then unit again and again until size bytes have gone, then tail. At each megabyte it looks at the
// memory in use.
type flood struct {
	head, unit, tail string
	size             int64
	given            int64
	rest             string
	ended            bool
	peak             uint64
	looked           int64
}

func (f *flood) Read(p []byte) (int, error) {
	if f.given == 0 {
		f.rest = f.head
	}
	n := 0
	for n < len(p) {
		if f.rest == "" {
			switch {
			case f.given < f.size:
				f.rest = f.unit
			case !f.ended:
				f.rest, f.ended = f.tail, true
			}
			if f.rest == "" {
				break
			}
		}
		c := copy(p[n:], f.rest)
		f.rest = f.rest[c:]
		n, f.given = n+c, f.given+int64(c)
	}
	if f.given-f.looked > 1<<20 {
		f.looked = f.given
		f.peak = max(f.peak, inUse())
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// inUse is what all objects take, the dead ones that nobody has swept among them.
func inUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Whatever is sent, the reader takes no more memory than its bound, and most bombs it refuses after few bytes.
func TestBombs(t *testing.T) { //nolint:paralleltest // it measures memory
	const gigabyte = 1 << 30
	open := wrap("2.2", "")[:len(wrap("2.2", ""))-len("</m>")]
	object := open + "<schreibe><organisationseinheit><id>1</id>"
	for _, c := range []struct {
		name             string
		head, unit, tail string
		cause            source.Cause
		want             string
		read             int64 // bytes at most before the end
	}{
		{"a text that is kept", open + "<schreibe><leistung><id>", "x", "", source.CauseOversized, "a text has more than 1048576 bytes", 2 << 20},
		{"a text that nobody reads", open + "<schreibe><leistung><neu>", "lorem ipsum ", "", source.CauseOversized, "a text has more than", 2 << 20},
		{"a text of references", open + "<schreibe><leistung><id>", "&amp;", "", source.CauseOversized, "a text has more than", 2 << 20},
		{"a text in pieces", open + "<schreibe><leistung><id>", "xxxx<!---->", "", source.CauseOversized, "<schreibe> has more than 1048576 bytes", 2 << 20},
		{"a text of sections", open + "<schreibe><leistung><id>", "<![CDATA[x]]>", "", source.CauseOversized, "<schreibe> has more than 1048576 bytes", 2 << 20},
		{"a section", open + "<schreibe><leistung><id><![CDATA[", "x", "", source.CauseOversized, "before ]]>", 2 << 20},
		{"a comment", open + "<!--", "x", "", source.CauseOversized, "before --", 2 << 20},
		{"a comment first", "<!--", "x", "", source.CauseOversized, "before --", 2 << 20},
		{"an instruction", open + "<?p ", "x", "", source.CauseOversized, "before ?>", 2 << 20},
		{"white space first", "", " ", "", source.CauseOversized, "a text has more than", 2 << 20},
		{"white space between objects", open, "\n", "", source.CauseOversized, "a text has more than", 2 << 20},
		{"an attribute", open + `<neu a="`, "x", "", source.CauseOversized, "a tag has more than 131072 bytes", 1 << 20},
		{"a name", open + `<`, "x", "", source.CauseOversized, "a tag has more than 131072 bytes", 1 << 20},
		{"spaces in a tag", open + `<a`, " ", "", source.CauseOversized, "a tag has more than 131072 bytes", 1 << 20},
		{"spaces in a closing tag", open + `<a></a`, " ", "", source.CauseOversized, "a tag has more than 131072 bytes", 1 << 20},
		{"attributes", open + `<neu`, ` a="1"`, "", source.CauseSchema, `the attribute "a" twice`, 1 << 20},
		{"a declaration", `<?xml version="1.0" encoding="`, "x", "", source.CauseSchema, "the XML declaration has no end", 1 << 20},
		{"a document type", `<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">`, `<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">`, "", source.CauseSchema, "a document type declaration", 1 << 20},
		{"depth", open, "<a>", "", source.CauseOversized, "nested more than 64 deep", 1 << 20},
		{"depth from the root on", "", "<a>", "", source.CauseSchema, "has no xzufiVersion", 1 << 20},
		{"depth with prefixes", open, `<a xmlns:p="1">`, "", source.CauseOversized, "more than 64", 1 << 20},
		{"elements in an object", object, "<a/>", "", source.CauseOversized, "<schreibe> has more than 250000 elements", 2 << 20},
		{"elements in what nobody reads", open + "<neu>", "<a/>", "", source.CauseOversized, "<neu> has more than 250000 elements", 2 << 20},
		{"names of an object", object, "<name><name>x</name></name>", "", source.CauseOversized, "elements", 17 << 20},
		{"periods of an object", object, "<gueltigkeit/>", "", source.CauseOversized, "elements", 17 << 20},
		{"Zustaendigkeiten of an object", object, "<zustaendigkeit><leistungID>12345</leistungID></zustaendigkeit>", "", source.CauseOversized, "<schreibe> has more than", 17 << 20},
		{"Zustaendigkeiten with much in them", object, "<zustaendigkeit><leistungID>1</leistungID>" + strings.Repeat("<gueltigkeit/>", 100) + strings.Repeat("<gebietID>01</gebietID>", 100) + "</zustaendigkeit>", "", source.CauseOversized, "<schreibe> has more than", 17 << 20},
		{"broken Zustaendigkeiten of an object", object, "<zustaendigkeit/>", "", source.CauseOversized, "elements", 17 << 20},
		{"areas of an object", open + "<schreibe><leistung>", "<gueltigkeitGebietID>01</gueltigkeitGebietID>", "", source.CauseOversized, "elements", 17 << 20},
		{"links of an object", open + "<schreibe><onlinedienst><id>1</id>", "<link><link>https://a.example/</link></link>", "", source.CauseOversized, "elements", 17 << 20},
		{"parameters of a link", open + "<schreibe><onlinedienst><id>1</id><link>", "<dynamischeParameter/>", "", source.CauseOversized, "elements", 17 << 20},
		{"texts of a module", open + "<schreibe><leistung><id>1</id><modulText>", "<inhalt>" + strings.Repeat("x", 16000) + "</inhalt>", "", source.CauseOversized, "<schreibe> has more than 16777216 bytes", 17 << 20},
		{"transfer of very many", open + "<schreibe><zustaendigkeitTransferObjekt>", "<zustaendigkeit><id>1</id><leistungID>1</leistungID></zustaendigkeit>", "", source.CauseOversized, "<schreibe> has more than", 17 << 20},
		{"zeros", "", "\x00", "", source.CauseSchema, "UTF-16 or UTF-32", 1 << 20},
		{"a head", open[:len(open)-len("</nachrichtenkopf>")], "<a>x</a>", "", source.CauseOversized, "elements", 17 << 20},
		// These have no end that is wrong; their size is bounded by whoever fetches them.
		{"loesche", open, `<loesche klasse="Zustaendigkeit"><id schemeAgencyID="L100012" schemeID="ZustaendigkeitOnlinedienst">99</id></loesche>`, "</m>", "", "", 0},
		{"loesche of nothing", open, `<loesche klasse="Zustaendigkeit"/>`, "</m>", "", "", 0},
		{"objects of unknown classes", open, `<schreibe><a><b>c</b></a></schreibe>`, "</m>", "", "", 0},
		{"comments", open, `<!-- c -->`, "</m>", "", "", 0},
		{"blanks behind the root", open + "</m>", " ", "", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &flood{head: c.head, unit: strings.Repeat(c.unit, 1+4096/len(c.unit)), tail: c.tail, size: gigabyte}
			if c.cause == "" {
				f.size = 2 << 20
			}
			var limits xzufi.Limits
			if strings.Contains(c.want, "1048576 bytes") {
				limits.Object = 1 << 20 // what is added up in small pieces takes its time
			}
			runtime.GC()
			before := inUse()
			m, err := xzufi.Read(context.Background(), f, xzufi.Options{Limits: limits, Fault: func(xzufi.Fault) error { return nil }}, func(int, xzufi.Object) error { return nil })
			f.peak = max(f.peak, inUse())
			var refusal *source.Refusal
			switch {
			case c.cause == "" && err != nil:
				t.Errorf("got %v", err)
			case c.cause != "" && (!errors.As(err, &refusal) || refusal.Cause != c.cause || !strings.Contains(refusal.Text, c.want)):
				t.Errorf("got %v, want %s: %s", err, c.cause, c.want)
			}
			if c.read > 0 && f.given > c.read {
				t.Errorf("%d bytes were read, want at most %d", f.given, c.read)
			}
			if grown := int64(f.peak) - int64(before); grown > 40<<20 {
				t.Errorf("memory grew by %d bytes: %+v", grown, m.Counts)
			} else {
				t.Logf("%d bytes read, memory grew by %d KiB", f.given, grown>>10)
			}
		})
	}
}

// The bounds can be set.
func TestLimits(t *testing.T) {
	t.Parallel()
	xml := wrap("2.2", `<schreibe><leistung><id>1</id><neu>`+strings.Repeat("<a>0123456789</a>", 50_000)+`</neu></leistung></schreibe>`)
	for _, c := range []struct {
		limits xzufi.Limits
		want   string
	}{
		{xzufi.Limits{}, ""},
		{xzufi.Limits{Object: 200_000}, "<schreibe> has more than 200000 bytes"},
		{xzufi.Limits{Elements: 1000}, "<schreibe> has more than 1000 elements"},
		{xzufi.Limits{Text: 9}, "a text has more than 9 bytes"},
	} {
		_, err := read(strings.NewReader(xml), c.limits)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v", c.limits, err)
		}
	}
}
