// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/bench/ratio"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// figures of reading a national delivery.
type figures struct {
	Files            int     `json:"files"`
	Bytes            int64   `json:"bytes"`
	Objects          int     `json:"objects"`
	Zustaendigkeiten int     `json:"zustaendigkeiten"`
	HeapKiB          int64   `json:"heap_growth_kib"` // the most that it grew while all was read in one go
	Speed            float64 `json:"times_as_fast_as_rawtoken"`
	SpeedLow         float64 `json:"times_as_fast_low"` // 95 % interval
	SpeedHigh        float64 `json:"times_as_fast_high"`
	MBPerCPUSecond   float64 `json:"megabytes_per_cpu_second"`
}

// A national delivery is read in bounded memory, and faster than encoding/xml cuts it into tokens. Without PVGATE_PROVE
// a hundredth of it is read, and time is not judged. Not parallel: it measures.
func TestANationalDeliveryIsRead(t *testing.T) { //nolint:paralleltest // see above
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	o := generate.DeliveryOptions{Seed: 1}
	if !proof.Full() {
		o.Leistungen, o.Zustaendigkeiten, o.PerFile = 100, 2000, 1000
	}
	d, err := generate.NewDelivery(areas, o)
	if err != nil {
		t.Fatal(err)
	}
	run := proof.Start("xzufi", o.Seed)
	f := figures{Files: len(d.Files()), Zustaendigkeiten: d.Zustaendigkeiten()}
	files := d.Files()
	if !proof.Full() { // the Organisationseinheiten of all Gemeinden are many whatever the options
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasPrefix(name, "organisationseinheiten") })
	}
	f.readAll(t, d, files)
	f.race(t, d, files)
	t.Logf("%+v", f)
	if proof.Full() && f.Objects != d.Objects() || f.HeapKiB > 32<<10 {
		t.Errorf("%d of %d objects, the heap grew by %d KiB; want all and at most 32 MiB", f.Objects, d.Objects(), f.HeapKiB)
	}
	if proof.Full() && (f.SpeedLow < 0.7 || f.Bytes < 5_000_000_000 || f.Zustaendigkeiten < 2_000_000) {
		t.Errorf("too slow, or not national: %+v", f)
	}
	if t.Failed() {
		return
	}
	if _, err = run.Write(f, false); err != nil {
		t.Error(err)
	}
}

// readAll reads the files as they are made, and looks at the memory.
func (f *figures) readAll(t *testing.T, d *generate.Delivery, files []string) {
	runtime.GC()
	before := int64(inUse())
	for _, name := range files {
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := d.WriteFile(w, name)
			w.CloseWithError(err)
			done <- err
		}()
		n := 0
		m, err := xzufi.Read(context.Background(), r, xzufi.Options{File: name}, func(int, xzufi.Object) error {
			if n++; n%1000 == 0 {
				f.HeapKiB = max(f.HeapKiB, (int64(inUse())-before)>>10)
			}
			return nil
		})
		r.CloseWithError(err)
		if err = errorOf(err, <-done); err != nil || m.Quarantined+m.Unknown+m.Deleted > 0 {
			t.Fatal(name, m, err)
		}
		f.Objects += m.Written
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// race reads files once more, each from memory and by both readers in turn, with the processor time of each.
func (f *figures) race(t *testing.T, d *generate.Delivery, files []string) {
	var faster []float64
	var ours float64
	var size int64
	for i, name := range files {
		var b bytes.Buffer
		if err := d.WriteFile(&b, name); err != nil {
			t.Fatal(err)
		}
		f.Bytes += int64(b.Len())
		if proof.Full() && strings.HasPrefix(name, "zustaendigkeiten") && i%4 != 0 {
			continue // a quarter of them is enough for the ratio
		}
		took := [2]float64{}
		for turn := range took {
			read := [...]func([]byte) error{rawTokens, readAll}[(i+turn)%2]
			runtime.GC()
			start := processorTime()
			if err := read(b.Bytes()); err != nil {
				t.Fatal(err)
			}
			took[(i+turn)%2] = processorTime() - start
		}
		if b.Len() > 1<<18 { // less is noise
			faster = append(faster, took[0]/took[1])
			ours, size = ours+took[1], size+int64(b.Len())
		}
	}
	f.Speed = ratio.Median(faster)
	f.SpeedLow, f.SpeedHigh = ratio.Interval(faster, 1)
	f.MBPerCPUSecond = float64(size) / 1e6 / max(ours, 1e-9)
}

// processorTime is what this process has used, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
