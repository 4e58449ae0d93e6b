// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// memoryFigures are what the checker's plan and its report take.
type memoryFigures struct {
	Rows         int     `json:"rows"`
	Links        int     `json:"links"`
	Hosts        int     `json:"hosts"`
	PlanMB       float64 `json:"plan_megabytes"`
	PlanSeconds  float64 `json:"plan_seconds"`
	Stale        int     `json:"stale"`
	ReportMB     float64 `json:"report_megabytes"` // while it is made, at most
	ReportKeptMB float64 `json:"report_kept_megabytes"`
	ReportSec    float64 `json:"report_seconds"`
}

// A registry whose rows all have an address of their own is the worst for the checker: of each the plan keeps a row. As many of
// them are stale as a report looks at. Without PVGATE_PROVE it is a hundredth. Not parallel: it measures.
func TestMemoryOfManyLinks(t *testing.T) { //nolint:paralleltest // see above
	rows, hosts, stale := 10_000_000, 10_000, maxTold
	if !proof.Full() {
		rows, hosts, stale = 100_000, 100, 1000
	}
	run := proof.Start("links-memory", 0)
	r := manyLinks(t, rows, hosts)
	f := memoryFigures{Rows: rows, Stale: stale}
	c := New(Options{
		Dir: t.TempDir(), Agent: Agent, Every: 7 * 24 * time.Hour, Rate: 1, Pause: time.Second, Failures: 1,
		Registry: func() *Registry { return r }, Log: slog.New(slog.DiscardHandler), noSync: true,
	})
	var err error
	if c.store, err = openStore(c.o.Dir, true); err != nil {
		t.Fatal(err)
	}
	defer c.store.close()

	before, began := inUse(), time.Now()
	c.plan, c.planned = newPlan(r, began, maphash.MakeSeed()), began
	f.PlanSeconds, f.PlanMB = time.Since(began).Seconds(), mega(inUse()-before)
	f.Links, f.Hosts = c.plan.links, len(c.plan.hosts)
	if f.Links != rows || f.Hosts != hosts {
		t.Fatalf("%d links at %d hosts", f.Links, f.Hosts)
	}
	for name, s := range c.plan.hosts {
		c.hosts[name] = &host{name: name, site: s}
	}
	fails(t, c, stale)

	before = inUse()
	highest, stop := highestHeap()
	began = time.Now()
	report, err := c.newReport(began)
	f.ReportSec = time.Since(began).Seconds()
	close(stop)
	f.ReportMB = mega(<-highest - before)
	if err != nil || report.Stale != stale || len(report.StaleLinks) != min(stale, maxListed) {
		t.Fatalf("%d stale, %d told, %v", report.Stale, len(report.StaleLinks), err)
	}
	f.ReportKeptMB = mega(inUse() - before)
	t.Logf("%+v", f)
	// Bytes: 4.3 of a link in the plan, and what a host takes; a stale link in a report 2000 at most, and what is kept of 5000.
	if most := mega(6*uint64(rows) + 1000*uint64(hosts) + 1<<20); f.PlanMB > most {
		t.Errorf("the plan takes %.1f MB, at most %.1f", f.PlanMB, most)
	}
	if most := mega(2000*uint64(stale) + 8<<20); f.ReportMB > most {
		t.Errorf("a report takes %.1f MB, at most %.1f", f.ReportMB, most)
	}
	runtime.KeepAlive(report)
	runtime.KeepAlive(c)
	if _, err := run.Write(f, false); err != nil {
		t.Error(err)
	}
}

// manyLinks is a registry of rows with an address each.
func manyLinks(t *testing.T, rows, hosts int) *Registry {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	b := index.NewBuilder(areas, []string{"first"})
	for i := range rows {
		l, err := registry.ParseLeistung(fmt.Sprintf("99%012d", i/1250))
		if err != nil {
			t.Fatal(err)
		}
		e := registry.Entry{
			Leistung: l, Area: registry.AreaID(1 + i%1250*8), URL: fmt.Sprintf("https://h%05d.example/%d", i%hosts, i),
			Origin: registry.Origin{Source: "first", Line: int32(i + 1)},
		}
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := b.Finish()
	return &Registry{Index: x, Near: func(int) bool { return false }}
}

// fails notes that links have failed, in few transactions.
func fails(t *testing.T, c *Checker, n int) {
	t.Helper()
	now := time.Now()
	tx, err := c.store.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range c.hosts {
		for place := uint32(0); place < h.site.n && n > 0; place++ {
			n--
			r := record{verdict: verdict{Result: Gone, Code: 404}, Failures: 3, Since: now, At: now}
			if err := putJSON(tx.Bucket([]byte(bucketOf(&r))), linkKey(h.name, c.plan.at(h.site, place).key), &r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mega(n uint64) float64 {
	if n > math.MaxInt64 { // less than before
		return 0
	}
	return float64(n) / 1e6
}

// highestHeap gives the most that was in use until stop is closed; the collector runs often meanwhile, for garbage is not meant.
func highestHeap() (<-chan uint64, chan struct{}) {
	out, stop, percent := make(chan uint64, 1), make(chan struct{}), debug.SetGCPercent(5)
	go func() {
		defer debug.SetGCPercent(percent)
		most := uint64(0)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-stop:
				tick.Stop()
				out <- most
				return
			case <-tick.C:
			}
		}
	}()
	return out, stop
}
