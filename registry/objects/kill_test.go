// SPDX-License-Identifier: EUPL-1.2

package objects_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry/objects"
)

// A process that imports is killed at any moment, for real: the store then has the rows of before or those of after, and the
// same delivery once more gives those of after.
func TestAProcessThatIsKilledLeavesNoHalf(t *testing.T) {
	t.Parallel()
	deliver := func(host string) string {
		dir := t.TempDir()
		for n := range 3 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.xml", n)), []byte(services(host, 500*n, 500)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	old, next := deliver("old.example"), deliver("new.example")
	from := t.TempDir()
	before := imports(t, from, old)
	after := imports(t, t.TempDir(), next)
	took := time.Duration(0)
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	halves := map[bool]int{}
	rounds := 4
	if os.Getenv("PVGATE_PROVE") != "" {
		rounds = 100
	}
	for n := range rounds {
		dir := t.TempDir()
		copyFile(t, filepath.Join(from, "objects.db"), filepath.Join(dir, "objects.db"))
		text, err := json.Marshal(role{Do: "import", Store: dir, Files: xmlFiles(t, next), Full: true, Shrink: 1})
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(os.Args[0], "-test.run=^TestPlayARole$", "-test.count=1")
		c.Env = append(os.Environ(), roleVariable+"="+string(text))
		start := time.Now()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(took))), func() { _ = c.Process.Kill() })
		}
		if err := c.Wait(); err != nil && n == 0 {
			t.Fatal(err)
		}
		if n == 0 {
			took = time.Since(start)
		}
		got := rowsOf(t, dir)
		if !bytes.Equal(got, before) && !bytes.Equal(got, after) {
			t.Errorf("killed within %v: the rows are neither the old ones nor the new ones", took)
		}
		halves[bytes.Equal(got, after)]++
		if got = imports(t, dir, next); !bytes.Equal(got, after) {
			t.Errorf("killed within %v: the same delivery once more gives other rows", took)
		}
	}
	t.Logf("of %d imports of %v, %d had their effect", rounds, took, halves[true])
}

// services is a message with n Onlinedienste, each competent in Flensburg: enough for several transactions.
func services(host string, from, n int) string {
	var b strings.Builder
	b.WriteString(`<m xzufiVersion="2.2"><nachrichtenkopf/><schreibe><leistung><id>1</id><referenzLeiKa>99036026017000</referenzLeiKa></leistung></schreibe>`)
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, `<schreibe><onlinedienst><id>%d</id><bezeichnung>%s</bezeichnung><link><link>https://%s/%d</link></link>`+
			`<zustaendigkeit><leistungID>1</leistungID><gebietID>01001</gebietID></zustaendigkeit></onlinedienst></schreibe>`, i, strings.Repeat("x", 4000), host, i)
	}
	return b.String() + `</m>`
}

func xmlFiles(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.xml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	return found
}

// imports a delivery and gives the store's rows.
func imports(t *testing.T, store, dir string) []byte {
	t.Helper()
	s, err := objects.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	d := &objects.Delivery{Source: "sh", Full: true}
	for _, f := range xmlFiles(t, dir) {
		d.Files = append(d.Files, objects.PathFile(f, filepath.Base(f)))
	}
	if _, err := s.Import(t.Context(), d, &objects.Options{Shrink: 1, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, store)
}

func rowsOf(t *testing.T, store string) []byte {
	t.Helper()
	s, err := objects.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A disk that is full at any place costs the delivery, or its end until there is room; never are there rows of half of it.
func TestAFullDiskLeavesNoHalf(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=40m"); err != nil {
		t.Skipf("no disk can be made here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	old, next := t.TempDir(), t.TempDir()
	for dir, host := range map[string]string{old: "old.example", next: "new.example"} {
		if err := os.WriteFile(filepath.Join(dir, "1.xml"), []byte(services(host, 0, 600)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from := t.TempDir()
	before, after := imports(t, from, old), imports(t, t.TempDir(), next)
	refused, promised := 0, 0
	for room := 0; ; room += 900 << 10 {
		store, filler := filepath.Join(disk, "store"), filepath.Join(disk, "filler")
		if err := errors.Join(os.RemoveAll(store), os.Mkdir(store, 0o700)); err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(from, "objects.db"), filepath.Join(store, "objects.db"))
		s, err := objects.Open(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, disk, filler, room)
		d := &objects.Delivery{Source: "sh", Full: true, Files: []objects.File{objects.PathFile(filepath.Join(next, "1.xml"), "1.xml")}}
		_, err = s.Import(t.Context(), d, &objects.Options{Shrink: 1, Now: time.Now()})
		whole := err == nil
		var b bytes.Buffer
		if _, err := s.Export(t.Context(), &b); err == nil && !bytes.Equal(b.Bytes(), before) && !bytes.Equal(b.Bytes(), after) {
			t.Errorf("%d KiB free: rows that are neither the old ones nor the new ones", room>>10)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if _, err := s.Export(t.Context(), &b); err != nil || !bytes.Equal(b.Bytes(), before) && !bytes.Equal(b.Bytes(), after) {
			t.Errorf("%d KiB free, and more then: other rows, %v", room>>10, err)
		}
		if whole = whole || bytes.Equal(b.Bytes(), after); err != nil && whole {
			promised++
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := imports(t, store, next); !bytes.Equal(got, after) {
			t.Errorf("%d KiB free: the same delivery once more gives other rows", room>>10)
		}
		if err == nil {
			break
		}
		refused++
	}
	t.Logf("%d imports had no room, %d of them were ended later", refused, promised)
	if refused == 0 {
		t.Error("there was always room")
	}
}

// fill leaves so much room on a disk.
func fill(t *testing.T, disk, path string, room int) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, max(int(st.Bavail)*int(st.Bsize)-room, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
}
