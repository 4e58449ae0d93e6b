// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func spezialisierung(n, of int, more string) string {
	return `<schreibe><spezialisierung>` + id("LeistungSpezialisierung", n) + ref("leistungID", "Leistung", of) + more + `</spezialisierung></schreibe>`
}

func portal(uri, title string) string {
	return `<modulUrsprungsportal><uri>` + uri + `</uri><titel languageCode="de">` + title + `</titel></modulUrsprungsportal>`
}

func validIn(areas ...string) (out string) {
	for _, a := range areas {
		out += `<gueltigkeitGebietID>` + a + `</gueltigkeitGebietID>`
	}
	return out
}

func valid(begin, end string) string {
	out := `<gueltigkeit>`
	if begin != "" {
		out += `<beginn>` + begin + `</beginn>`
	}
	if end != "" {
		out += `<ende>` + end + `</ende>`
	}
	return out + `</gueltigkeit>`
}

func TestObjectsBecomeEntries(t *testing.T) {
	t.Parallel()
	const form = "https://ikfz.example/"
	service := func(parts ...string) []string {
		return append([]string{onlinedienst(2, link("", form)), competent(4, "Onlinedienst", 2, 1, "01001", "", "")}, parts...)
	}
	at := func(text string) string { return ikfz + " 010010000000 " + text }
	const ids = " lb=L100012.LB.1 od=L100012.OD.2"
	for name, c := range map[string]struct {
		parts, want []string
	}{
		"both ends' times": {
			service(leistung(1, ikfz, valid("2026-01-01", "2026-12-31")), strings.Replace(competent(4, "Onlinedienst", 2, 1, "01001", "", ""), "</zustaendigkeit>", valid("2026-03-01", "")+"</zustaendigkeit>", 1)),
			[]string{at("service " + form + ids + " title=Dienst 2 [2026-02-28, 2026-12-31)")},
		},
		"times that never meet": {
			service(leistung(1, ikfz, valid("", "2025-12-31")), onlinedienst(2, link("", form)+valid("2026-01-01", ""))), nil,
		},
		"several keys": {
			service(leistung(1, ikfz, `<referenzLeistungsschluessel>`+gewerbe+`</referenzLeistungsschluessel>`)),
			[]string{at("service " + form + ids + " title=Dienst 2"), strings.Replace(at("service "+form+ids+" title=Dienst 2"), ikfz, gewerbe, 1)},
		},
		"links that are no form": {
			service(leistung(1, ikfz, ""), onlinedienst(2, strings.Replace(link("", form), ">01<", ">02<", 1))), nil,
		},
		"an authority of the past": {
			service(leistung(1, ikfz, ""), authorityOf(3), strings.Replace(competent(5, "Organisationseinheit", 3, 1, "01001", "01", ""), "</zustaendigkeit>", valid("", "2025-12-31")+"</zustaendigkeit>", 1)),
			[]string{
				at("service " + form + " oe=L100012.OE.3" + ids + " role=01 title=Dienst 2 [0001-01-01, 2025-12-31)"),
				at("service " + form + ids + " title=Dienst 2 [2025-12-31, 0001-01-01)"),
			},
		},
		"two authorities": {
			service(leistung(1, ikfz, ""), authorityOf(3), authorityOf(6), competent(5, "Organisationseinheit", 3, 1, "01001", "03", ""), competent(7, "Organisationseinheit", 6, 1, "01001", "01", "")),
			[]string{
				at("service " + form + " oe=L100012.OE.3" + ids + " role=03 title=Dienst 2"),
				at("service " + form + " oe=L100012.OE.6" + ids + " role=01 title=Dienst 2"),
			},
		},
		"an authority elsewhere": {
			service(leistung(1, ikfz, ""), authorityOf(3), competent(5, "Organisationseinheit", 3, 1, "01", "01", "")),
			[]string{at("service " + form + ids + " title=Dienst 2")},
		},
		"a portal where the Leistung is valid": {
			[]string{leistung(1, ikfz, portal("https://zufi.example/1", "Seite")+validIn("01"))},
			[]string{ikfz + " 01 page https://zufi.example/1 lb=L100012.LB.1 title=Leistung 1"},
		},
		"a portal where somebody is competent": {
			[]string{leistung(1, ikfz, portal("https://zufi.example/1", "Seite")), authorityOf(3), competent(5, "Organisationseinheit", 3, 1, "01001", "01", "")},
			[]string{at("page https://zufi.example/1 oe=L100012.OE.3 lb=L100012.LB.1 role=01 title=Leistung 1")},
		},
		"a Spezialisierung beside its Leistung": {
			[]string{leistung(1, ikfz, portal("https://zufi.example/1", "Seite")+validIn("01001")), spezialisierung(8, 1, portal("https://flensburg.example/", "Seite")+validIn("01001"))},
			[]string{
				at("page https://zufi.example/1 lb=L100012.LB.1 title=Leistung 1"),
				at("page https://flensburg.example/ lb=L100012.LB.1 title=Leistung 1 specialised"),
			},
		},
		"a Spezialisierung without its Leistung": {
			[]string{spezialisierung(8, 1, portal("https://flensburg.example/", "Seite")+validIn("01001"))}, nil,
		},
		"a Formular": {
			[]string{leistung(1, ikfz, ""), strings.ReplaceAll(onlinedienst(2, link("", form)), "onlinedienst>", "formular>"), competent(4, "Formular", 2, 1, "01001", "", "")}, nil,
		},
		"no area that exists": {
			service(leistung(1, ikfz, ""), competent(4, "Onlinedienst", 2, 1, "999999999999", "", "")), nil,
		},
		"competent in several areas": {
			service(leistung(1, ikfz, ""), competent(4, "Onlinedienst", 2, 1, "01001</gebietID><gebietID>01", "02", "")),
			[]string{
				strings.Replace(at("service "+form+ids+" role=02 title=Dienst 2"), "010010000000", "01", 1),
				at("service " + form + ids + " role=02 title=Dienst 2"),
			},
		},
		"the older form": {
			[]string{
				leistung(1, ikfz, portal("https://zufi.example/1", "Seite")),
				`<schreibe><organisationseinheit>` + id("Organisationseinheit", 3) + `<name><name>Amt</name></name><zustaendigkeit>` + ref("leistungID", "Leistung", 1) + `<gebietID>01001</gebietID></zustaendigkeit></organisationseinheit></schreibe>`,
			},
			[]string{at("page https://zufi.example/1 oe=L100012.OE.3 lb=L100012.LB.1 title=Leistung 1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := store(t)
			imported(t, s, change(message(c.parts...)))
			if d := cmp.Diff(c.want, allShown(t, s)); d != "" {
				t.Error(d)
			}
		})
	}
}

// The same objects give the same bytes, in whatever order, parts and deliveries they come, and whatever was there between.
func TestTheSameObjectsGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	var parts []string
	for n := range 12 {
		key := []string{ikfz, gewerbe, "99042001012000"}[n%3]
		parts = append(parts, leistung(n, key, portal("https://zufi.example/"+key, "Seite")+validIn("01", "06534")),
			onlinedienst(n, link("de", "https://form.example/"+key)+link("en", "https://form.example/en/"+key)), authorityOf(n))
		for i, area := range []string{"01001", "01002", "065340014014", "06534", "00"} {
			parts = append(parts, competent(100*n+i, "Onlinedienst", (n+i)%12, n, area, "01", ""), competent(100*n+i, "Organisationseinheit", (n*i)%12, n, area, "0"+string('1'+rune(i%3)), ""))
		}
		parts = append(parts, spezialisierung(n, n, portal("https://special.example/"+key, "Seite")+validIn("01001")))
	}
	s := store(t)
	imported(t, s, whole(message(parts...)))
	want := exported(t, s)
	if n := len(entries(t, s)); n < 60 {
		t.Fatalf("%d entries", n)
	}
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 7))
		s := store(t)
		order := slices.Clone(parts)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for len(order) > 0 {
			n := 1 + random.IntN(len(order))
			noise := []string{gone("Leistung", "Leistung", 4711)}
			if random.IntN(2) == 0 {
				noise = append(noise, onlinedienst(999, link("", "https://gone.example/")), competent(9999, "Onlinedienst", 999, 1, "01", "01", ""))
			}
			imported(t, s, change(message(append(noise, order[:n]...)...)))
			order = order[n:]
		}
		imported(t, s, change(message(gone("Onlinedienst", "Onlinedienst", 999), gone("Zustaendigkeit", "ZustaendigkeitOnlinedienst", 9999))))
		if !bytes.Equal(want, exported(t, s)) {
			t.Errorf("seed %d: the bytes are others", seed)
		}
	}
}
