// SPDX-License-Identifier: EUPL-1.2

package generate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/xzufi"
)

func smallDelivery(t testing.TB, o DeliveryOptions) *Delivery {
	t.Helper()
	if o.Leistungen == 0 {
		o.Leistungen, o.Zustaendigkeiten, o.PerFile, o.Filler = 200, 6000, 1000, 300
	}
	d, err := NewDelivery(areas(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADeliveryFitsTogether(t *testing.T) {
	t.Parallel()
	a := areas(t)
	for _, version := range []string{"2.3.1"} {
		o := DeliveryOptions{Seed: 3, Version: version, Leistungen: 200, Zustaendigkeiten: 6000, PerFile: 1000, Filler: 300}
		d := smallDelivery(t, o)
		type identity struct {
			class xzufi.Class
			id    xzufi.ID
		}
		seen := map[identity]bool{}
		var competences []xzufi.Zustaendigkeit
		gemeinden := 0
		for _, name := range d.Files() {
			var b bytes.Buffer
			if err := d.WriteFile(&b, name); err != nil {
				t.Fatal(err)
			}
			m, err := xzufi.Read(context.Background(), &b, xzufi.Options{File: name, Fault: func(f xzufi.Fault) error {
				t.Error(f)
				return nil
			}}, func(_ int, o xzufi.Object) error {
				it := identity{o.Class(), o.Identity()}
				if seen[it] {
					t.Fatalf("%v %s comes twice", it.class, it.id)
				}
				seen[it] = true
				switch o := o.(type) {
				case *xzufi.Zustaendigkeit:
					z := *o
					z.Areas = append([]xzufi.Area(nil), o.Areas...)
					competences = append(competences, z)
				case *xzufi.Organisationseinheit:
					gemeinden++
				case *xzufi.Leistung:
					if len(o.Keys) != 1 || len(o.Names) != 1 {
						t.Errorf("got %+v", o)
					}
				}
				return nil
			})
			if err != nil || m.Version != version || m.Unknown > 0 {
				t.Fatalf("%s: %+v, %v", name, m, err)
			}
		}
		if len(seen) != d.Objects() || len(competences) != d.Zustaendigkeiten() || len(competences) < 5000 || len(competences) > 7000 {
			t.Errorf("%d objects and %d Zustaendigkeiten, promised %d and %d", len(seen), len(competences), d.Objects(), d.Zustaendigkeiten())
		}
		if added := len(registry.DefaultAliases()); gemeinden < a.Len()-added || gemeinden > a.Len() {
			t.Errorf("%d of %d areas have an Organisationseinheit", gemeinden, a.Len())
		}
		for _, z := range competences {
			if !seen[identity{z.Of, z.Parent}] || !seen[identity{xzufi.ClassLeistung, z.Leistung}] {
				t.Fatalf("an end of %+v is not there", z)
			}
			if _, err := a.EntryAreaBytes([]byte(z.Areas[0])); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEqualSeedsGiveEqualDeliveries(t *testing.T) {
	t.Parallel()
	sum := func(seed uint64) [sha256.Size]byte {
		h := sha256.New()
		d := smallDelivery(t, DeliveryOptions{Seed: seed})
		for _, name := range d.Files() {
			if strings.HasPrefix(name, "organisationseinheiten") && name != "organisationseinheiten-0001.xml" {
				continue // many, and they do not depend on the seed
			}
			if err := d.WriteFile(h, name); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.WriteDelta(h, 5, 100); err != nil {
			t.Fatal(err)
		}
		return [sha256.Size]byte(h.Sum(nil))
	}
	if one := sum(1); one != sum(1) || one == sum(2) {
		t.Error("a seed does not say all")
	}
}

func TestAFolderAndAServerGiveTheSame(t *testing.T) {
	t.Parallel()
	d := smallDelivery(t, DeliveryOptions{Seed: 1})
	dir := t.TempDir()
	if err := d.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(d.Files(), "index.txt") {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("GET", "/a/b/"+name, nil))
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || w.Code != 200 || !bytes.Equal(file, w.Body.Bytes()) {
			t.Errorf("%s: status %d, %d bytes, in the folder %d, %v", name, w.Code, w.Body.Len(), len(file), err)
		}
	}
	if index := d.Index(); !strings.HasSuffix(index, "\r\n") || strings.Count(index, "\r\n") != len(d.Files()) {
		t.Errorf("got %q", index)
	}
	for _, name := range []string{"", "a.xml", "leistungen-0000.xml", "leistungen-9999.xml", "../x"} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("GET", "/"+name, nil))
		if w.Code != 404 {
			t.Errorf("%q: status %d", name, w.Code)
		}
	}
}

func TestADeltaChangesAsMuchAsAskedFor(t *testing.T) {
	t.Parallel()
	d := smallDelivery(t, DeliveryOptions{Seed: 1})
	var b bytes.Buffer
	if err := d.WriteDelta(&b, 7, 1000); err != nil {
		t.Fatal(err)
	}
	m, err := xzufi.Read(context.Background(), &b, xzufi.Options{}, func(int, xzufi.Object) error { return nil })
	if err != nil || m.Written+m.Deleted != 1000 || m.Deleted < 300 || m.Written < 500 || m.Quarantined > 0 {
		t.Errorf("got %+v, %v", m, err)
	}
}

// The default is the delivery that imports are measured with. Its size is found out from some of its files.
func TestTheDefaultIsANationalDelivery(t *testing.T) {
	t.Parallel()
	d, err := NewDelivery(areas(t), DeliveryOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	perFile := d.o.PerFile
	d, err = NewDelivery(areas(t), DeliveryOptions{Seed: 1, PerFile: perFile / 20})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.Zustaendigkeiten(); n < 2_000_000 {
		t.Errorf("%d Zustaendigkeiten", n)
	}
	files := d.Files()
	var c counter
	if err = d.WriteFile(&c, files[len(files)-2]); err != nil {
		t.Fatal(err)
	}
	all := int(c) * d.Zustaendigkeiten() / d.o.PerFile
	t.Logf("%d Zustaendigkeiten of %d bytes, together %d bytes in %d files", d.Zustaendigkeiten(), int(c)/d.o.PerFile, all, len(files))
	if all < 5_000_000_000 {
		t.Errorf("its Zustaendigkeiten have %d bytes", all)
	}
	if c > 128<<20/20 {
		t.Errorf("a twentieth of a file has %d bytes", c)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func BenchmarkDelivery(b *testing.B) {
	d := smallDelivery(b, DeliveryOptions{Seed: 1})
	files := d.Files()
	var c counter
	for range b.N {
		if err := d.WriteFile(io.MultiWriter(&c), files[len(files)-2]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(c) / int64(b.N))
}
