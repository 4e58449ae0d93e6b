// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// The model of a disk. What was written is certain only after Sync of the file, and names only after a sync of the
// directory; until then a crash keeps of it what it likes: any part of a file's bytes, any of the names' changes.
type model struct {
	inodes map[int]*inode
	names  map[string]int // as programs see them
	stable map[string]int // as they are on disk for certain
	undone []change       // names' changes since then
	next   int

	steps   int // operations so far
	failAt  int // the operation that fails; 0 = none
	crashAt int // the operation before which power is lost; 0 = never
}

type inode struct {
	data   []byte
	synced []byte // content at the last Sync
	clean  bool   // synced is data
}

// change is one of names: it leads from now on to that inode, 0 = nowhere; also the name that it had is gone.
type change struct {
	name, gone string
	inode      int
}

var (
	errPower = errors.New("power lost")
	errDisk  = &os.PathError{Op: "write", Path: "x", Err: syscall.EIO}
)

func newModel() *model {
	return &model{inodes: map[int]*inode{}, names: map[string]int{}, stable: map[string]int{}}
}

// step is every operation's beginning.
func (m *model) step() error {
	m.steps++
	switch {
	case m.crashAt > 0 && m.steps >= m.crashAt:
		return errPower
	case m.steps == m.failAt:
		return errDisk
	}
	return nil
}

func (m *model) create(name string) (file, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	if id, ok := m.names[name]; ok {
		m.inodes[id].data, m.inodes[id].clean = nil, false // truncated
		return &handle{m, id}, nil
	}
	m.next++
	m.inodes[m.next] = &inode{}
	m.change(change{name: name, inode: m.next})
	return &handle{m, m.next}, nil
}

func (m *model) rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.change(change{name: to, gone: from, inode: m.names[from]})
	return nil
}

func (m *model) remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	if _, ok := m.names[name]; !ok {
		return os.ErrNotExist
	}
	m.change(change{gone: name})
	return nil
}

func (m *model) list() ([]string, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(m.names)), nil
}

func (m *model) sync() error {
	if err := m.step(); err != nil {
		return err
	}
	m.stable, m.undone = maps.Clone(m.names), nil
	return nil
}

func (m *model) change(c change) {
	c.apply(m.names)
	m.undone = append(m.undone, c)
}

func (c change) apply(names map[string]int) {
	delete(names, c.gone)
	if c.inode > 0 {
		names[c.name] = c.inode
	}
}

type handle struct {
	m  *model
	id int
}

func (h *handle) Write(p []byte) (int, error) {
	if err := h.m.step(); err != nil {
		return 0, err
	}
	n := h.m.inodes[h.id]
	n.data, n.clean = append(n.data, p...), false
	return len(p), nil
}

func (h *handle) Sync() error {
	if err := h.m.step(); err != nil {
		return err
	}
	n := h.m.inodes[h.id]
	n.synced, n.clean = bytes.Clone(n.data), true
	return nil
}

func (h *handle) Close() error { return h.m.step() }

// disks are what can be found after a crash now: every choice of names' changes, with every state of each unsynced file.
func (m *model) disks(yield func(files map[string][]byte)) {
	for choice := range 1 << len(m.undone) {
		names := maps.Clone(m.stable)
		for i, c := range m.undone {
			if choice>>i&1 == 1 {
				c.apply(names)
			}
		}
		for state := range 6 {
			files := map[string][]byte{}
			for name, id := range names {
				files[name] = m.inodes[id].after(state)
			}
			yield(files)
		}
	}
}

// after is what a crash leaves of a file.
func (n *inode) after(state int) []byte {
	if n.clean {
		return n.synced
	}
	switch state {
	case 0:
		return n.synced
	case 1:
		return nil
	case 2:
		return n.data[:len(n.data)/2]
	case 3:
		return make([]byte, len(n.data)) // the length is there, the blocks are not
	case 4:
		late := bytes.Clone(n.data)
		clear(late[len(late)/3 : len(late)/2])
		return late
	default:
		return n.data
	}
}

// numbered is a small bundle.
func numbered(t testing.TB, sequence uint64) *Bundle {
	t.Helper()
	m := &Meta{Sequence: sequence, Created: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	var out bytes.Buffer
	if _, err := Write(&out, m, []Section{{"rows", bytes.Repeat([]byte{byte(sequence)}, 300)}}); err != nil {
		t.Fatal(err)
	}
	b, err := Parse(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// found is the sequence of the bundle that a start finds on a disk, 0 if none.
func found(t *testing.T, dir string, files map[string][]byte) uint64 {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenStore(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.Newest(nil)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		return 0
	}
	return b.Meta.Sequence
}

// CP-02: power is lost before every single operation of four Puts, and whatever the disk makes of what was not synced, the
// next start finds the bundle of the last Put that had returned, or the one that was being put.
func TestCP02EveryCrashLeavesAGoodBundle(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	lock := t.TempDir()
	seen := map[[sha256.Size]byte]bool{}
	crashes, disks := 0, 0
	for crashAt := 1; ; crashAt++ {
		m := newModel()
		m.crashAt = crashAt
		s := &Store{dir: lock, files: m}
		var kept uint64
		var err error
		for n := uint64(1); n <= 4 && err == nil; n++ {
			if err = s.Put(numbered(t, n)); err == nil {
				kept = n
			}
		}
		if err == nil {
			break // no operation left
		}
		crashes++
		m.disks(func(files map[string][]byte) {
			disks++
			// Many crashes leave the same; each is looked at once.
			key := sha256.Sum256(fmt.Appendf(nil, "%d %q", kept, files))
			if seen[key] {
				return
			}
			seen[key] = true
			if got := found(t, dir, files); got != kept && got != kept+1 {
				t.Errorf("power lost before operation %d: found %d, but %d was kept (files %v)", crashAt, got, kept, slices.Sorted(maps.Keys(files)))
			}
		})
	}
	t.Logf("%d crashes, %d disks, %d of them different", crashes, disks, len(seen))
	if crashes < 30 {
		t.Errorf("only %d crashes", crashes)
	}
}

// An operation that fails leaves what was there, also to the next Put, and never an endless number of files.
func TestCP02EveryFailureLeavesAGoodBundle(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	lock := t.TempDir()
	for failAt := 1; ; failAt++ {
		m := newModel()
		m.failAt = failAt
		s := &Store{dir: lock, files: m}
		var kept, last uint64
		for n := uint64(1); n <= 5; n++ {
			if err := s.Put(numbered(t, n)); err == nil {
				kept = n
			}
			last = n
			m.disks(func(files map[string][]byte) {
				if got := found(t, dir, files); got < kept || got > last {
					t.Errorf("operation %d failed: found %d, but %d was kept", failAt, got, kept)
				}
				if len(files) > Kept+2 {
					t.Errorf("operation %d failed: %d files", failAt, len(files))
				}
			})
		}
		failed := m.steps >= failAt
		m.failAt = 0
		if err := s.Put(numbered(t, 6)); err != nil {
			t.Fatalf("operation %d failed, and the next bundle too: %v", failAt, err)
		}
		if !failed {
			return
		}
	}
}
