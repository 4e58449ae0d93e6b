// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"slices"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

func TestPagesGoToWhoAsksForThemAndJSONToEverybodyElse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"*/*"}, false},
		{[]string{"application/json"}, false},
		{[]string{"text/html"}, true},
		{[]string{"TEXT/HTML"}, true},
		{[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}, true},
		{[]string{"text/html, */*"}, true},
		{[]string{"text/html, application/json"}, false},
		{[]string{"text/html, application/json;q=0.9"}, true},
		{[]string{"text/html;q=0.8, application/problem+json"}, false},
		{[]string{"text/html;q=0"}, false},
		{[]string{"text/*"}, true},
		{[]string{"text/*;q=0.5, */*;q=0.6"}, false},
		{[]string{"application/*, text/html;q=0.2"}, true},
		{[]string{"application/json", "text/html"}, false},
		{[]string{"text/plain", "text/html"}, true},
		{[]string{`text/html;level="1,2;q=0"`}, true},
		{[]string{"text/html;q=1.5"}, false},
		{[]string{"text/html;q=0.1234"}, false},
		{[]string{"text/html;q="}, false},
		{[]string{"text/html ; q=0.5 , application/json ; q=0.4"}, true},
		{[]string{",,;q=1,"}, false},
		{[]string{"text/htmlx"}, false},
	} {
		if got := PrefersHTML(head(message.Accept, tt.accept...)); got != tt.want {
			t.Errorf("Accept %q: HTML %v, want %v", tt.accept, got, tt.want)
		}
	}
}

func TestLanguageIsLookedUpAmongGermanAndEnglish(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accept string
		want   reason.Lang
		ok     bool
	}{
		{"", reason.German, false},
		{"de", reason.German, true},
		{"en", reason.English, true},
		{"EN-gb", reason.English, true},
		{"fr, en;q=0.5", reason.English, true},
		{"fr", reason.German, false},
		{"*", reason.German, false},
		{"en;q=0.3, de;q=0.7", reason.German, true},
		{"en, de", reason.English, true},
		{"en;q=0, de;q=0.1", reason.German, true},
		{"en;q=0", reason.German, false},
		{"de-x-ls", reason.German, true},
		{"den, eng", reason.German, false},
		{"sr-Latn, en-US;q=0.8, en;q=0.7", reason.English, true},
		{";q=1,,", reason.German, false},
	} {
		got, ok := AcceptLanguage(head(message.AcceptLanguage, tt.accept))
		if got != tt.want || ok != tt.ok {
			t.Errorf("Accept-Language %q: %v %v, want %v %v", tt.accept, got, ok, tt.want, tt.ok)
		}
	}
}

func TestQuotesKeepASegmentTogether(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"a,b;c":              {"a", "b;c"},
		`a,`:                 {"a"},
		`,a`:                 {"", "a"},
		`"a,b",c`:            {`"a,b"`, "c"},
		`a"b\",c"d,e`:        {`a"b\",c"d`, "e"},
		`"a\\",b`:            {`"a\\"`, "b"},
		`a\",b,c`:            {`a\",b,c`}, // outside of quotes a backslash is nothing
		`a,"b,c`:             {"a", `"b,c`},
		`a,"b,c\`:            {"a", `"b,c\`},
		`"","a,b","c",d,"e"`: {`""`, `"a,b"`, `"c"`, "d", `"e"`},
	} {
		var got []string
		for rest := []byte(list); len(rest) > 0; {
			var one []byte
			one, rest = segment(rest, ',')
			got = append(got, string(one))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
}

func FuzzNegotiation(f *testing.F) {
	f.Add([]byte(`text/html;a="\",";q=0.5, */*;q=0.8`))
	f.Fuzz(func(t *testing.T, value []byte) {
		h := head(message.Accept, string(value))
		if PrefersHTML(h) && NamesJSON(h) {
			t.Fatalf("%q prefers both", value)
		}
		AcceptLanguage(head(message.AcceptLanguage, string(value)))
	})
}
