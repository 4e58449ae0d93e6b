// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadOZG(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, err string
		want            map[Leistung]OZG
	}{
		{
			name: "own", text: "leistung;ozg_id;title\n99041006017000;10000;Elterngeld\n99.041.006.017.001;10000;Elterngeld\n77000000000317;10110;\n",
			want: map[Leistung]OZG{
				mustLeistung(t, "99041006017000"): {"10000", "Elterngeld"}, mustLeistung(t, "99041006017001"): {"10000", "Elterngeld"},
				mustLeistung(t, "77000000000317"): {"10110", ""},
			},
		},
		{
			name: "export",
			text: "leika_key,leika_name,ars,ozgid,ozg_bezeichnung,url\n99041006017000,Elterngeld,09,10000,Elterngeld,https://a.example/\n" +
				"null,Elterngeld,09,10000,Elterngeld,\n99050012104000,Gewerbe,09,null,null,\n99041006017000,Elterngeld,06,10001,Elterngeld,\n",
			want: map[Leistung]OZG{mustLeistung(t, "99041006017000"): {"10000", "Elterngeld"}},
		},
		{name: "empty", err: "f: the file is empty; want the columns leistung,ozg_id,title"},
		{name: "columns", text: "leistung;id\n", err: `f:1: the columns are ["leistung" "id"]; want leistung,ozg_id,title, or leika_key,ozgid,ozg_bezeichnung of a Data Hub export`},
		{name: "key", text: "leistung;ozg_id\n9904;1\n", err: "f:2: "},
		{name: "id", text: "leistung;ozg_id\n99041006017000;\n", err: `f:2: ozg_id "" is none; want e.g. 10110`},
		{name: "twice", text: "leistung;ozg_id\n99041006017000;1\n99041006017000;2\n", err: "f:3: leistung 99041006017000 belongs to 1 already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadOZG(strings.NewReader(c.text), "f")
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.err) {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(Leistung{})); d != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}
