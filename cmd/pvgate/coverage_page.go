// SPDX-License-Identifier: EUPL-1.2

package main

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// coverageHTML is the page; it needs no script and nothing from elsewhere.
//
//go:embed coverage.html
var coverageHTML string

// coverageText are the page's words in one language.
type coverageText struct {
	Lang, Title, Lead, Map, Legend, LegendOf, Table, Land, Gemeinden, Inhabitants, OfGemeinden, OfInhabitants string
	Kreise, Kreis, OZG, Service, Leistungen, History, Day, Method, MethodText, Source, To                     string

	comma string // of numbers
	group string // between thousands
	date  string
}

// coverageWords gives them in German or English.
func coverageWords(lang string) (words coverageText, ok bool) {
	words, ok = map[string]coverageText{"de": coverageGerman(), "en": coverageEnglish()}[lang]
	return words, ok
}

func coverageGerman() coverageText {
	return coverageText{
		Lang: "de", Title: "Was online geht", Map: "Karte der Länder", Legend: "Legende", LegendOf: "Anteil der Einwohner, gemittelt über die Leistungen",
		Lead:  "Anteil der Verwaltungsleistungen, für die ein Onlinedienst antwortet",
		Table: "Die Länder", Land: "Land", Gemeinden: "Gemeinden", Inhabitants: "Einwohner", OfGemeinden: "der Gemeinden", OfInhabitants: "der Einwohner",
		Kreise: "Kreise und kreisfreie Städte", Kreis: "Kreis", OZG: "OZG-Leistungen, die mit dem kleinsten Anteil zuerst", Service: "OZG-Leistung",
		Leistungen: "Leistungen", History: "Verlauf", Day: "Tag", To: "bis", Method: "Wie gezählt wird",
		MethodText: "Gezählt sind alle Paare aus einer Leistung des Bundeskatalogs und einer bewohnten Gemeinde. Ein Paar zählt als online, wenn die Anfrage zu einem Onlinedienst führt oder zu mehreren, unter denen man wählt; eine Seite mit Auskünften zählt nicht. Einwohner wiegen jede Gemeinde nach ihrer Größe.",
		Source:     "Gebiete und Einwohner: Gemeindeverzeichnis GV100AD,", comma: ",", group: ".", date: "02.01.2006",
	}
}

func coverageEnglish() coverageText {
	return coverageText{
		Lang: "en", Title: "What works online", Map: "Map of the Länder", Legend: "Legend", LegendOf: "share of inhabitants, mean of the Leistungen",
		Lead:  "Share of public services for which an online service answers",
		Table: "The Länder", Land: "Land", Gemeinden: "Gemeinden", Inhabitants: "inhabitants", OfGemeinden: "of Gemeinden", OfInhabitants: "of inhabitants",
		Kreise: "Kreise and kreisfreie Städte", Kreis: "Kreis", OZG: "OZG services, the smallest share first", Service: "OZG service",
		Leistungen: "Leistungen", History: "History", Day: "day", To: "to", Method: "How it is counted",
		MethodText: "Counted are all pairs of a Leistung of the federal catalogue and a Gemeinde with inhabitants. A pair is online if a request leads to an online service, or to several to choose from; a page with information is not. Inhabitants weigh each Gemeinde by its size.",
		Source:     "Areas and inhabitants: Gemeindeverzeichnis GV100AD,", comma: ".", group: " ", date: "2006-01-02",
	}
}

// pageLand is a Land as the page draws it.
type pageLand struct {
	routing.OnlineArea
	Path  string
	Class int // of colour, 0 to 4
	Short string
	X, Y  string // of the label
	Lead  string // the line to a label outside, "" = inside
}

// coveragePage is what the template is filled with.
type coveragePage struct {
	W             coverageText
	R             *coverageReport
	Width, Height int
	Lands         []pageLand // as they are drawn
	OZG           []routing.OnlineOZG
	Classes       []pageClass
	History       *pageHistory
	Date, Source  string
}

type pageClass struct{ From, To int }

// pageHistory is a line through the days.
type pageHistory struct {
	Points       string
	First, Last  string
	FirstY, Tail string // shares
}

// classOf puts a share into one of five classes of colour.
func classOf(share float64) int { return min(4, int(share*5)) }

// maxPageOZG bounds the table of OZG services: there are about 600.
const maxPageOZG = 1000

func (r *coverageReport) printPage(w io.Writer, lang string) error {
	words, _ := coverageWords(lang)
	t, err := template.New("coverage").Funcs(template.FuncMap{
		"percent": func(share float64) string { return strings.Replace(percent(share), ".", words.comma, 1) },
		"number":  words.number,
	}).Parse(coverageHTML)
	if err != nil {
		return fmt.Errorf("print the page: %w", err)
	}
	p := coveragePage{
		W: words, R: r, Width: mapWidth, Height: mapHeight, Date: r.At.In(registry.Berlin()).Format(words.date), Source: registry.EmbeddedSource,
		OZG:   leastFirst(r.OZG, func(x routing.OnlineOZG) routing.Online { return x.Online }, maxPageOZG),
		Lands: drawLands(r.Lands), History: drawHistory(r.history, words.date),
		Classes: []pageClass{{0, 20}, {20, 40}, {40, 60}, {60, 80}, {80, 100}},
	}
	if err := t.Execute(w, &p); err != nil {
		return fmt.Errorf("print the page: %w", err)
	}
	return nil
}

// number groups the digits of a number.
func (t *coverageText) number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + t.group + s[i:]
	}
	return s
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// drawLands puts the numbers on the map.
func drawLands(lands []routing.OnlineArea) (drawn []pageLand) {
	pieces := borders()
	for _, shape := range mapLands() {
		for _, x := range lands {
			if x.Key != shape.key {
				continue
			}
			l := pageLand{
				OnlineArea: x, Path: shape.path(pieces), Class: classOf(x.ShareOfInhabitants()), Short: shape.short,
				X: coordinate(shape.label.x()), Y: coordinate(shape.label.y()),
			}
			if shape.lead != nil {
				below := 23.0 // the label's second line
				if shape.lead.north > shape.label.north {
					below = -15
				}
				l.Lead = fmt.Sprintf("M%.1f %.1fL%.1f %.1f", shape.label.x(), shape.label.y()+below, shape.lead.x(), shape.lead.y())
			}
			drawn = append(drawn, l)
		}
	}
	return drawn
}

// The size of the line through the days.
const (
	historyWidth  = 600.0
	historyHeight = 120.0
)

// drawHistory draws the share of inhabitants over the days; two are needed for a line.
func drawHistory(rows [][]string, date string) *pageHistory {
	const day, share = 0, 5
	if len(rows) < 3 {
		return nil
	}
	rows = rows[1:]
	when := func(row []string) time.Time {
		t, _ := time.Parse(time.DateOnly, row[day]) // readHistory has
		return t
	}
	first, last := when(rows[0]), when(rows[len(rows)-1])
	var b strings.Builder
	for _, row := range rows {
		v, err := strconv.ParseFloat(row[share], 64)
		if err != nil {
			continue
		}
		x := historyWidth * float64(when(row).Sub(first)) / float64(last.Sub(first))
		fmt.Fprintf(&b, "%.1f,%.1f ", x, historyHeight*(1-v))
	}
	shown := func(row []string) string {
		v, _ := strconv.ParseFloat(row[share], 64)
		return percent(v)
	}
	return &pageHistory{
		Points: strings.TrimSpace(b.String()), First: first.Format(date), Last: last.Format(date),
		FirstY: shown(rows[0]), Tail: shown(rows[len(rows)-1]),
	}
}
