// SPDX-License-Identifier: EUPL-1.2

package objects_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/objects"
)

// nationFigures are what a national delivery costs.
type nationFigures struct {
	Bytes            int64   `json:"bytes"`
	Leistungen       int     `json:"leistungen"`
	Zustaendigkeiten int     `json:"zustaendigkeiten"`
	Objects          int     `json:"objects"`
	StoreMB          float64 `json:"store_megabytes"`
	ImportSeconds    float64 `json:"import_seconds"`
	ImportMBs        float64 `json:"import_megabytes_per_second"`
	RawTokenMBs      float64 `json:"raw_token_megabytes_per_second"` // encoding/xml on the same files
	Ratio            float64 `json:"ratio"`
	MemoryMB         float64 `json:"memory_megabytes"` // RSS without pages of files, at most
	AgainSeconds     float64 `json:"again_seconds"`    // the same delivery once more
	DeltaObjects     int     `json:"delta_objects"`
	DeltaSeconds     float64 `json:"delta_seconds"`
	DeltaMB          float64 `json:"delta_memory_megabytes"`
	Rows             int     `json:"rows"`
	ExportSeconds    float64 `json:"export_seconds"`
	ExportMB         float64 `json:"export_memory_megabytes"`
}

// role is what a process of its own does, so that its memory is its own.
type role struct {
	Do    string // import, export, tokens
	Store string
	Files []string
	Full  bool
	// Shrink is as in objects.Options.
	Shrink float64
}

type played struct {
	Seconds float64
	Report  *objects.Report
	Rows    int
}

const roleVariable = "PVGATE_TEST_ROLE"

// A national delivery is imported in bounded memory and about as fast as XML can be read at all; what changes of it, at once.
// Without PVGATE_PROVE a two-hundredth is looked at, and time is not judged. Not parallel: it measures.
func TestANationalDelivery(t *testing.T) { //nolint:paralleltest // see above
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	o := generate.DeliveryOptions{Seed: 1}
	if !proof.Full() {
		o.Leistungen, o.Zustaendigkeiten = 200, 15_000
	}
	d, err := generate.NewDelivery(areas, o)
	if err != nil {
		t.Fatal(err)
	}
	run := proof.Start("xzufi-import", o.Seed)
	dir := t.TempDir()
	xmlDir, store := filepath.Join(dir, "xml"), filepath.Join(dir, "store")
	if err := errors.Join(os.Mkdir(xmlDir, 0o700), d.WriteDir(xmlDir)); err != nil {
		t.Fatal(err)
	}
	f := nationFigures{Leistungen: 8000, Zustaendigkeiten: d.Zustaendigkeiten(), DeltaObjects: 10_000}
	if !proof.Full() {
		f.Leistungen, f.DeltaObjects = 200, 1000
	}
	var files []string
	for _, name := range d.Files() {
		files = append(files, filepath.Join(xmlDir, name))
	}
	got, memory := play(t, role{Do: "import", Shrink: 0.1, Store: store, Files: files, Full: true})
	f.Bytes, f.Objects, f.ImportSeconds, f.MemoryMB = got.Report.Bytes, got.Report.Objects, got.Seconds, memory
	f.ImportMBs = float64(f.Bytes) / 1e6 / f.ImportSeconds
	if st, err := os.Stat(filepath.Join(store, "objects.db")); err == nil {
		f.StoreMB = float64(st.Size()) / 1e6
	}
	t.Logf("imported: %+v", f)
	raw, _ := play(t, role{Do: "tokens", Files: files})
	f.RawTokenMBs = float64(f.Bytes) / 1e6 / raw.Seconds
	f.Ratio = f.ImportMBs / f.RawTokenMBs
	again, _ := play(t, role{Do: "import", Shrink: 0.1, Store: store, Files: slices.Concat(files[len(files)/2:], files[:len(files)/2]), Full: true})
	if f.AgainSeconds = again.Seconds; again.Report.Digest != "" || again.Report.Unchanged != f.Objects || again.Report.Quarantined != 0 {
		t.Errorf("the same delivery once more: %+v", again.Report)
	}
	delta := filepath.Join(dir, "delta.xml")
	if err := writeDelta(d, delta, f.DeltaObjects); err != nil {
		t.Fatal(err)
	}
	changed, memory := play(t, role{Do: "import", Shrink: 0.1, Store: store, Files: []string{delta}})
	if f.DeltaSeconds, f.DeltaMB = changed.Seconds, memory; changed.Report.Written == 0 || changed.Report.Deleted == 0 || changed.Report.Objects == f.Objects {
		t.Errorf("a change of %d objects: %+v", f.DeltaObjects, changed.Report)
	}
	rows, memory := play(t, role{Do: "export", Store: store})
	f.Rows, f.ExportSeconds, f.ExportMB = rows.Rows, rows.Seconds, memory
	t.Logf("%+v", f)
	if f.Rows < f.Zustaendigkeiten/4 {
		t.Errorf("%d rows of %d Zustaendigkeiten", f.Rows, f.Zustaendigkeiten)
	}
	most := 64.0
	if raceDetector() {
		most *= 4 // its shadow of the memory counts too
	}
	for what, mb := range map[string]float64{"import": f.MemoryMB, "delta": f.DeltaMB, "export": f.ExportMB} {
		if mb > most {
			t.Errorf("%s: %.1f MB of memory beside the store; want at most %.0f", what, mb, most)
		}
	}
	if proof.Full() && (f.Ratio < 0.7 || f.DeltaSeconds > 5 || f.Bytes < 5e9 || f.Zustaendigkeiten < 2_000_000) {
		t.Errorf("not what is promised: %+v", f)
	}
	if t.Failed() {
		return
	}
	if _, err := run.Write(f, false); err != nil {
		t.Error(err)
	}
}

// raceDetector reports whether this binary was built with it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func writeDelta(d *generate.Delivery, path string, n int) error {
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(d.WriteDelta(w, 7, n), w.Close())
}

// play lets a process of one core play a role, and gives what it had of memory at most, in MB, pages of files not counted: those
// are the store's.
func play(t *testing.T, r role) (out played, memory float64) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlayARole$", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text), "GOMAXPROCS=1", "GOMEMLIMIT="+strconv.Itoa(objects.MemoryLimit))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		for {
			memory = max(memory, anonymous(cmd.Process.Pid))
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	err = cmd.Wait()
	close(done)
	watching.Wait()
	_, line, found := strings.Cut(said.String(), "played: ")
	line, _, _ = strings.Cut(line, "\n")
	if err != nil || !found || json.Unmarshal([]byte(line), &out) != nil {
		t.Fatalf("%s: %v\n%s", r.Do, err, said.String())
	}
	return out, memory
}

// anonymous is the RSS of a process that is no file's, in MB.
func anonymous(pid int) (mb float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssShmem:") {
			kb, _ := strconv.Atoi(f[1])
			mb += float64(kb) / 1024
		}
	}
	return mb
}

// TestPlayARole is the process that play starts.
func TestPlayARole(t *testing.T) { //nolint:paralleltest // it is alone
	text, ok := os.LookupEnv(roleVariable)
	if !ok {
		t.Skip("for processes of TestANationalDelivery")
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var out played
	if r.Do == "tokens" {
		for _, f := range r.Files {
			if err := tokens(f); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := out.work(t, &r); err != nil {
		t.Fatal(err)
	}
	out.Seconds = time.Since(start).Seconds()
	line, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("played: %s\n", line)
}

func (out *played) work(t *testing.T, r *role) error {
	t.Helper()
	s, err := objects.Open(t.Context(), r.Store)
	if err != nil {
		return err
	}
	if r.Do == "import" {
		d := &objects.Delivery{Source: "national", Full: r.Full}
		for _, f := range r.Files {
			d.Files = append(d.Files, objects.PathFile(f, filepath.Base(f)))
		}
		out.Report, err = s.Import(t.Context(), d, &objects.Options{Shrink: r.Shrink, Now: time.Now()})
	} else {
		var counts objects.RowCounts
		counts, err = s.Export(t.Context(), io.Discard)
		out.Rows = counts.Rows
	}
	return errors.Join(err, s.Close())
}

// tokens reads a file as encoding/xml does.
func tokens(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		if _, err := d.RawToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
