// SPDX-License-Identifier: EUPL-1.2

package main

import (
	_ "embed"
	"fmt"
	"strings"
)

// A map of the Länder in few strokes, drawn for this program: recognisable, not exact. Borders are pieces that both
// neighbours share, so that no gap shows between them.

// mapPoint is a place in degrees east and north.
type mapPoint struct{ east, north float64 }

// The map's corner and scale: at 51° a degree of longitude is 0.63 of one of latitude.
const (
	mapWest   = 5.75
	mapNorth  = 55.05
	mapScale  = 100.0
	mapWidth  = 645
	mapHeight = 785
)

func (p mapPoint) x() float64 { return (p.east - mapWest) * 0.63 * mapScale }
func (p mapPoint) y() float64 { return (mapNorth - p.north) * mapScale }

// borderLines are the pieces: in each line a name, then places, east and north with a comma between.
//
//go:embed borders.txt
var borderLines string

// borders are the pieces by name. Two pieces meet where they have the same point.
func borders() map[string][]mapPoint {
	pieces := map[string][]mapPoint{}
	for line := range strings.Lines(borderLines) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			var p mapPoint
			if _, err := fmt.Sscanf(w, "%g,%g", &p.east, &p.north); err != nil {
				panic("borders.txt: " + w + ": " + err.Error())
			}
			pieces[words[0]] = append(pieces[words[0]], p)
		}
	}
	return pieces
}

// mapLand is a Land on the map.
type mapLand struct {
	key, short string
	rings      [][]string // each a closed walk over pieces, "-" before one that is walked backwards
	label      mapPoint
	lead       *mapPoint // the label stands outside; a line leads to this point
}

// mapLands in the order in which they are drawn: what lies inside another comes after it.
func mapLands() []mapLand {
	hamburg, bremen, berlin, saarland := mapPoint{10, 53.55}, mapPoint{8.82, 53.08}, mapPoint{13.45, 52.52}, mapPoint{6.9, 49.4}
	return []mapLand{
		{key: "01", short: "SH", label: mapPoint{9.75, 54.25}, rings: [][]string{{"sh-sea", "sh-mv", "sh-ni", "sh-hh", "sh-elbe"}}},
		{key: "02", short: "HH", label: mapPoint{11.75, 54.85}, lead: &hamburg, rings: [][]string{{"-sh-hh", "ni-hh"}}},
		{key: "03", short: "NI", label: mapPoint{9.6, 52.7}, rings: [][]string{
			{"ni-sea", "ni-nw", "ni-he", "ni-th", "ni-st", "ni-bb", "ni-mv", "sh-ni", "ni-hh", "sh-elbe"},
		}},
		{key: "04", short: "HB", label: mapPoint{7.1, 54.35}, lead: &bremen, rings: [][]string{{"bremen"}, {"bremerhaven"}}},
		{key: "05", short: "NW", label: mapPoint{7.5, 51.5}, rings: [][]string{{"nw-abroad", "nw-rp", "nw-he", "-ni-nw"}}},
		{key: "06", short: "HE", label: mapPoint{9.05, 50.65}, rings: [][]string{{"ni-he", "he-th", "he-by", "he-bw", "he-rp", "nw-he"}}},
		{key: "07", short: "RP", label: mapPoint{7.2, 50}, rings: [][]string{{"nw-rp", "-he-rp", "-rp-bw", "-rp-fr", "-rp-sl", "-rp-west"}}},
		{key: "08", short: "BW", label: mapPoint{9.1, 48.5}, rings: [][]string{{"bw-abroad", "bw-by", "he-bw", "-rp-bw"}}},
		{key: "09", short: "BY", label: mapPoint{11.5, 48.9}, rings: [][]string{{"by-abroad", "by-sn", "-by-th", "he-by", "-bw-by"}}},
		{key: "10", short: "SL", label: mapPoint{6.25, 48.8}, lead: &saarland, rings: [][]string{{"rp-sl", "-sl-fr"}}},
		{key: "12", short: "BB", label: mapPoint{13.75, 51.95}, rings: [][]string{{"ni-bb", "bb-mv", "bb-pl", "-sn-bb", "st-bb"}}},
		{key: "11", short: "BE", label: mapPoint{15.3, 53.1}, lead: &berlin, rings: [][]string{{"berlin"}}},
		{key: "13", short: "MV", label: mapPoint{12.6, 53.8}, rings: [][]string{{"mv-sea", "-bb-mv", "ni-mv", "-sh-mv"}}},
		{key: "14", short: "SN", label: mapPoint{13.3, 51.05}, rings: [][]string{{"st-sn", "sn-bb", "sn-abroad", "by-sn", "-th-sn"}}},
		{key: "15", short: "ST", label: mapPoint{11.65, 52.05}, rings: [][]string{{"ni-st", "-st-bb", "-st-sn", "-th-st"}}},
		{key: "16", short: "TH", label: mapPoint{10.95, 50.9}, rings: [][]string{{"ni-th", "th-st", "th-sn", "-by-th", "-he-th"}}},
	}
}

// path is the Land's outline in SVG's words.
func (l *mapLand) path(pieces map[string][]mapPoint) string {
	var b strings.Builder
	for _, ring := range l.rings {
		verb := 'M'
		for _, name := range ring {
			points := pieces[strings.TrimPrefix(name, "-")]
			for i := range points[1:] { // the last point is the next piece's first
				p := points[i]
				if name[0] == '-' {
					p = points[len(points)-1-i]
				}
				fmt.Fprintf(&b, "%c%.1f %.1f", verb, p.x(), p.y())
				verb = 'L'
			}
		}
		b.WriteByte('Z')
	}
	return b.String()
}
