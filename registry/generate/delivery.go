// SPDX-License-Identifier: EUPL-1.2

package generate

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// DeliveryOptions say how much. The zero value of each field is a default; together they are a national delivery, of
// more than 5 GB.
type DeliveryOptions struct {
	Seed             uint64
	Leistungen       int    // default 8000
	Zustaendigkeiten int    // about as many; default 3 000 000
	PerFile          int    // objects in a file, of Leistungen a twentieth; default 40 000, some 70 MB
	Version          string // default "2.2.0"
	Filler           int    // bytes of texts for citizens in a Leistung; default 8000
	Hosts            int    // of portals; default 500
}

func (o *DeliveryOptions) setDefaults() {
	for field, value := range map[*int]int{&o.Leistungen: 8000, &o.Zustaendigkeiten: 3_000_000, &o.PerFile: 40_000, &o.Filler: 8000, &o.Hosts: 500} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Version == "" {
		o.Version = "2.2.0"
	}
}

// reach says at which level how many of 100 Leistungen are done. A Land's editorial system describes what is done in its
// Land, the Bund's what is done by the Bund.
var reach = [...]struct {
	level registry.Level
	share int
}{
	{registry.LevelBund, 8},
	{registry.LevelLand, 22},
	{registry.LevelRB, 2},
	{registry.LevelKreis, 18},
	{registry.LevelVerband, 5},
	{registry.LevelGemeinde, 45},
}

// Delivery is a delivery of XZuFi by seed. No file of it is held: each is made when it is written, and any can be
// written alone. Safe for concurrent use.
//
// Each Leistung is done in some areas of a Land, and in each of them by an Organisationseinheit and through an
// Onlinedienst: two Zustaendigkeiten. All Gemeinden have an Organisationseinheit.
type Delivery struct {
	o        DeliveryOptions
	areas    *registry.Areas
	units    []registry.AreaID // areas with an Organisationseinheit, ascending
	plans    []deliveryPlan
	sections []section
}

// deliveryPlan is one Leistung and where it is done.
type deliveryPlan struct {
	key    registry.Leistung
	land   uint8 // 0 = the Bund's
	places []registry.AreaID
	before int // places of all Leistungen before this one
	count  int
	first  int
	stride int
}

// section is the files with the objects of one class.
type section struct {
	name    string
	objects int
	perFile int
	object  func(i int) xzufi.Object
}

// dienste is the number of Onlinedienste of a Leistung.
const dienste = 8

// NewDelivery plans a delivery.
func NewDelivery(areas *registry.Areas, o DeliveryOptions) (*Delivery, error) {
	o.setDefaults()
	if o.Leistungen < 0 || o.Zustaendigkeiten < 0 || o.PerFile < 0 || o.Hosts < 0 {
		return nil, errors.New("generate: numbers must not be negative")
	}
	d := &Delivery{o: o, areas: areas}
	inLand := map[uint8]map[registry.Level][]registry.AreaID{}
	for id := range registry.AreaID(areas.Len()) {
		a := areas.Area(id)
		if a.Added {
			continue
		}
		land := inLand[a.ARS.Land()]
		if land == nil {
			land = map[registry.Level][]registry.AreaID{}
			inLand[a.ARS.Land()] = land
		}
		land[a.ARS.Level()] = append(land[a.ARS.Level()], id)
		d.units = append(d.units, id)
	}
	d.plan(inLand)
	pairs := d.pairs()
	d.sections = []section{
		{"leistungen", len(d.plans), max(1, o.PerFile/20), d.leistung},
		{"spezialisierungen", len(d.plans) / 20, o.PerFile, d.spezialisierung},
		{"organisationseinheiten", len(d.units), o.PerFile, d.unit},
		{"onlinedienste", len(d.plans) * dienste, o.PerFile, d.dienst},
		{"formulare", len(d.plans) / 10, o.PerFile, d.formular},
		{"zustaendigkeiten", 2 * pairs, o.PerFile, d.zustaendigkeit},
	}
	return d, nil
}

// plan draws the Leistungen and where they are done.
func (d *Delivery) plan(inLand map[uint8]map[registry.Level][]registry.AreaID) {
	g := generator{rand: rand.New(rand.NewPCG(d.o.Seed, 0x6c62272e07bb0142))} //nolint:gosec // equal seeds must give equal deliveries
	seen := map[registry.Leistung]bool{}
	wanted, few := 0, 0 // places; of those, at levels that have few
	for len(d.plans) < d.o.Leistungen {
		key := g.key(false)
		if seen[key] {
			continue
		}
		seen[key] = true
		level := registry.LevelGemeinde
		for n, i := g.rand.IntN(100), 0; i < len(reach); i++ {
			if n -= reach[i].share; n < 0 {
				level = reach[i].level
				break
			}
		}
		p := deliveryPlan{key: key}
		if level != registry.LevelBund {
			p.land = uint8(1 + g.rand.IntN(16))
		}
		for p.places = inLand[p.land][level]; len(p.places) == 0; p.places = inLand[p.land][level] {
			level = registry.LevelGemeinde // a Land without Regierungsbezirke; Hamburg and Berlin are Gemeinden
		}
		p.count = max(1, len(p.places)*(20+g.rand.IntN(80))/100)
		p.first, p.stride = g.rand.IntN(len(p.places)), g.coprime(len(p.places))
		if len(p.places) < 100 {
			few += p.count
		}
		wanted += p.count
		d.plans = append(d.plans, p)
	}
	scale := max(0, float64(d.o.Zustaendigkeiten/2-few)/float64(max(1, wanted-few)))
	sum := 0
	for i := range d.plans {
		p := &d.plans[i]
		if len(p.places) >= 100 {
			p.count = min(len(p.places), max(1, int(float64(p.count)*scale)))
		}
		p.before = sum
		sum += p.count
	}
}

func (d *Delivery) pairs() int {
	if len(d.plans) == 0 {
		return 0
	}
	last := &d.plans[len(d.plans)-1]
	return last.before + last.count
}

// Zustaendigkeiten is how many there are.
func (d *Delivery) Zustaendigkeiten() int { return 2 * d.pairs() }

// Objects is how many there are of all classes.
func (d *Delivery) Objects() (n int) {
	for i := range d.sections {
		n += d.sections[i].objects
	}
	return n
}

// Index is the text of index.txt: a name a line, with CR and LF.
func (d *Delivery) Index() string { return strings.Join(d.Files(), "\r\n") + "\r\n" }

// Files are the names of the files in order of the index.
func (d *Delivery) Files() (names []string) {
	for i := range d.sections {
		s := &d.sections[i]
		for at := 0; at*s.perFile < s.objects; at++ {
			names = append(names, fmt.Sprintf("%s-%04d.xml", s.name, at+1))
		}
	}
	return names
}

// errNoFile says that a delivery has no such file.
var errNoFile = errors.New("generate: the delivery has no such file")

// find gives the objects from, to of a file.
func (d *Delivery) find(name string) (s *section, from, to int, err error) {
	class, number, _ := strings.Cut(strings.TrimSuffix(name, ".xml"), "-")
	i := slices.IndexFunc(d.sections, func(s section) bool { return s.name == class })
	n, err := strconv.Atoi(number)
	if err != nil || i < 0 || n < 1 || (n-1)*d.sections[i].perFile >= d.sections[i].objects {
		return nil, 0, 0, fmt.Errorf("%w: %q", errNoFile, name)
	}
	s = &d.sections[i]
	return s, (n - 1) * s.perFile, min(n*s.perFile, s.objects), nil
}

// WriteFile writes one file of the delivery.
func (d *Delivery) WriteFile(w io.Writer, name string) error {
	s, from, to, err := d.find(name)
	if err != nil {
		return err
	}
	x := d.message(w, name)
	for i := from; i < to; i++ {
		if err = x.Write(s.object(i)); err != nil {
			return err
		}
	}
	return x.Close()
}

func (d *Delivery) message(w io.Writer, name string) *MessageWriter {
	x := NewMessageWriter(w, &xzufi.Message{
		Version: d.o.Version, Product: "pvgate generate", Vendor: "pvgate", UUID: fmt.Sprintf("%016x-%s", d.o.Seed, name),
		Created: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC), Sender: "Redaktion", Recipient: "Sammlerdienst",
	})
	x.Filler = d.o.Filler
	return x
}

// WriteDir writes index.txt and all files into a folder that exists.
func (d *Delivery) WriteDir(dir string) error {
	for _, name := range d.Files() {
		if err := writeTo(filepath.Join(dir, name), func(w io.Writer) error { return d.WriteFile(w, name) }); err != nil {
			return err
		}
	}
	return writeTo(filepath.Join(dir, "index.txt"), func(w io.Writer) error {
		_, err := io.WriteString(w, d.Index())
		return err
	})
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write delivery: %w", err)
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write delivery: %w", err)
	}
	return nil
}

// ServeHTTP gives index.txt and the files.
func (d *Delivery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if name == "index.txt" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, d.Index())
		return
	}
	if _, _, _, err := d.find(name); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = d.WriteFile(w, name) // whoever goes away before the end has a file without its end
}

// place is one of the areas in which a Leistung is done.
func (d *Delivery) place(pair int) (leistung int, area registry.AreaID) {
	i := sort.Search(len(d.plans), func(i int) bool { return d.plans[i].before > pair }) - 1
	p := &d.plans[i]
	return i, p.places[(p.first+(pair-p.before)*p.stride)%len(p.places)]
}
