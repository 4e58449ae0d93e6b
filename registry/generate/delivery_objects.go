// SPDX-License-Identifier: EUPL-1.2

package generate

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// agency is the editorial system of a Land, or of the Bund.
func agency(land uint8) string {
	if land == 0 {
		return "B100019"
	}
	return fmt.Sprintf("L1000%02d", land)
}

// draw is a number that depends on the seed and where it is asked for.
func (d *Delivery) draw(what, i uint64) uint64 {
	x := d.o.Seed ^ what<<56 ^ i*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d *Delivery) leistungID(i int) xzufi.ID {
	return xzufi.ID{AgencyID: agency(d.plans[i].land), SchemeID: "Leistung", Text: strconv.Itoa(8_900_000 + i)}
}

func (d *Delivery) dienstID(leistung int, which uint64) xzufi.ID {
	return xzufi.ID{AgencyID: agency(d.plans[leistung].land), SchemeID: "Onlinedienst", Text: strconv.Itoa(300_000 + leistung*dienste + int(which))}
}

func (d *Delivery) unitID(area registry.AreaID) xzufi.ID {
	a := agency(d.areas.ARS(area).Land())
	return xzufi.ID{AgencyID: a, SchemeID: "Organisationseinheit", Text: a + ".OE." + strconv.Itoa(9_000_000+int(area))}
}

func (d *Delivery) host(what, i uint64) string {
	return "https://portal-" + strconv.FormatUint(d.draw(what, i)%uint64(d.o.Hosts), 10) + ".example"
}

// key is the area's key as deliveries write it: the Bund has twelve digits.
func (d *Delivery) key(area registry.AreaID) xzufi.Area {
	if a := d.areas.ARS(area); !a.IsBund() {
		return xzufi.Area(a.String())
	}
	return "000000000000"
}

var begun = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *Delivery) leistung(i int) xzufi.Object {
	p := &d.plans[i]
	area := xzufi.Area("000000000000")
	if p.land > 0 {
		area = xzufi.Area(fmt.Sprintf("%02d", p.land))
	}
	o := &xzufi.Leistung{
		ID: d.leistungID(i), Keys: []registry.Leistung{p.key}, Names: []xzufi.Text{{Lang: "de", Text: "Leistung " + p.key.String() + " beantragen"}},
		Types: []string{[...]string{"1", "2a", "2b", "3", "4a", "5"}[d.draw('t', uint64(i))%6]}, Areas: []xzufi.Area{area},
		Publisher: xzufi.ID{AgencyID: agency(p.land), SchemeID: "Herausgeber", Text: agency(p.land)}, Validity: []xzufi.Period{{Begin: begun}},
	}
	if i%3 == 0 {
		o.Portals = []xzufi.Link{{
			Lang: "de", URL: d.host('p', uint64(i)) + "/leistung?id=" + o.ID.Text + "&lang=de", Title: "Zur Seite",
			Parameters: []xzufi.Parameter{{Type: "001", Name: "ars"}},
		}}
	}
	return o
}

// spezialisierung describes every twentieth Leistung for one of its places.
func (d *Delivery) spezialisierung(i int) xzufi.Object {
	leistung := i * 20
	p := &d.plans[leistung]
	return &xzufi.Spezialisierung{
		ID: xzufi.ID{AgencyID: agency(p.land), SchemeID: "Spezialisierung", Text: strconv.Itoa(i)}, Leistung: d.leistungID(leistung),
		Names: []xzufi.Text{{Lang: "de", Text: "Leistung " + p.key.String() + " vor Ort"}}, Areas: []xzufi.Area{d.key(p.places[p.first])},
		Portals: []xzufi.Link{{Lang: "de", URL: d.host('s', uint64(i)) + "/vor-ort/" + p.key.String()}},
	}
}

func (d *Delivery) unit(i int) xzufi.Object {
	area := d.units[i]
	return &xzufi.Organisationseinheit{ID: d.unitID(area), Names: []xzufi.Text{{Lang: "de", Text: "Verwaltung " + d.areas.Area(area).Name}}}
}

func (d *Delivery) dienst(i int) xzufi.Object {
	leistung, which := i/dienste, uint64(i%dienste)
	id := d.dienstID(leistung, which)
	key := d.plans[leistung].key.String()
	url := d.host('o', uint64(i)) + "/onlineantrag?leistungId=" + key + "&od=" + id.Text
	return &xzufi.Onlinedienst{
		ID: id, Names: []xzufi.Text{{Lang: "de", Text: "Antrag " + key}, {Lang: "en", Text: "Application " + key}},
		Links: []xzufi.Link{{Type: "01", Lang: "de", URL: url, Title: "Zum Antrag"}, {Type: "01", Lang: "en", URL: url + "&lang=en", Title: "Apply"}},
	}
}

func (d *Delivery) formular(i int) xzufi.Object {
	a := agency(d.plans[i*10].land)
	return &xzufi.Formular{
		ID: xzufi.ID{AgencyID: a, SchemeID: "Formular", Text: strconv.Itoa(i)}, Names: []xzufi.Text{{Lang: "de", Text: "Vordruck " + strconv.Itoa(i)}},
		Links: []xzufi.Link{{Lang: "de", URL: d.host('f', uint64(i)) + "/vordruck-" + strconv.Itoa(i) + ".pdf"}},
	}
}

// zustaendigkeit gives those of a place one after the other: that of the unit, that of the Onlinedienst.
func (d *Delivery) zustaendigkeit(i int) xzufi.Object {
	leistung, area := d.place(i / 2)
	z := &xzufi.Zustaendigkeit{Leistung: d.leistungID(leistung), Areas: []xzufi.Area{d.key(area)}, Role: "01"}
	z.ID = xzufi.ID{AgencyID: agency(d.plans[leistung].land), Text: strconv.Itoa(1 + i)}
	drawn := d.draw('z', uint64(i))
	if i%2 == 0 {
		z.ID.SchemeID, z.Of, z.Parent = "ZustaendigkeitOrganisationseinheit", xzufi.ClassOrganisationseinheit, d.unitID(area)
		if drawn%32 == 0 {
			z.Role = "03"
		}
	} else {
		z.ID.SchemeID, z.Of, z.Parent = "ZustaendigkeitOnlinedienst", xzufi.ClassOnlinedienst, d.dienstID(leistung, uint64(area)%dienste)
	}
	switch drawn >> 8 % 100 {
	case 0:
		z.Validity = []xzufi.Period{{Begin: begun, End: begun.AddDate(1, 6, 0)}} // over
	default:
		z.Validity = []xzufi.Period{{Begin: begun}}
	}
	return z
}

// WriteDelta writes a message with n changes of the delivery, by a seed of its own: Zustaendigkeiten that go, that get
// another role or another end, Onlinedienste that move, and a tenth that delete what never was there.
func (d *Delivery) WriteDelta(w io.Writer, seed uint64, n int) error {
	x := d.message(w, fmt.Sprintf("delta-%d", seed))
	all, online := d.Zustaendigkeiten(), len(d.plans)*dienste
	if all == 0 {
		return x.Close()
	}
	for i := range uint64(n) {
		drawn := d.draw('d', seed<<32^i)
		at := int(drawn >> 8 % uint64(all))
		var o xzufi.Object
		switch drawn % 10 {
		case 0:
			o = &xzufi.Delete{Of: xzufi.ClassZustaendigkeit, ID: xzufi.ID{AgencyID: agency(1), SchemeID: "ZustaendigkeitOnlinedienst", Text: "x" + strconv.Itoa(at)}}
		case 1, 2, 3:
			z := d.zustaendigkeit(at)
			o = &xzufi.Delete{Of: z.Class(), ID: z.Identity()}
		case 4:
			od, ok := d.dienst(at % online).(*xzufi.Onlinedienst)
			if ok {
				for i := range od.Links {
					od.Links[i].URL += "&neu=" + strconv.FormatUint(seed, 10)
				}
			}
			o = od
		default:
			z, ok := d.zustaendigkeit(at).(*xzufi.Zustaendigkeit)
			if ok {
				z.Role = "02"
				z.Validity = []xzufi.Period{{Begin: begun, End: begun.AddDate(10, 0, int(drawn>>40%365))}}
			}
			o = z
		}
		if err := x.Write(o); err != nil {
			return err
		}
	}
	return x.Close()
}
