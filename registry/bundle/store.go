// SPDX-License-Identifier: EUPL-1.2

package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Kept is how many bundles a store keeps: the one in use, and the one before it in case that one's disk fails.
const Kept = 2

// Store keeps the last good bundles in a directory of its own, so that a start needs no network. What [Store.Put] has
// returned is there after a crash or a loss of power; during a Put there is what was there before, or both.
//
// The directory has at most Kept bundles, called by the order in which they came ("000000000007.pvb"), one unfinished
// file and a lock, by which several processes may share it. Safe for concurrent use.
type Store struct {
	dir     string
	maxSize int64
	files   files
}

// The store's other files.
const (
	unfinished = "unfinished"
	lockFile   = "lock"
	suffix     = ".pvb"
	digits     = 12
)

// OpenStore opens a directory, or makes it. Files above maxSize bytes (0 = [DefaultMaxSize]) are not read from it.
func OpenStore(dir string, maxSize int64) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{dir, maxSize, disk{dir}}
	unlock, err := s.lock() // whoever cannot write here should hear it now
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	unlock()
	return s, nil
}

// Put makes a bundle the newest. It is on disk when Put returns. An error leaves those that were there.
func (s *Store) Put(b *Bundle) error {
	unlock, err := s.lock()
	if err != nil {
		return fmt.Errorf("keep bundle: %w", err)
	}
	defer unlock()
	numbers, err := s.list()
	if err != nil {
		return fmt.Errorf("keep bundle: %w", err)
	}
	next := uint64(1)
	if len(numbers) > 0 {
		next = numbers[0] + 1
	}
	if err := s.write(b, fileName(next)); err != nil {
		return fmt.Errorf("keep bundle: %w", err)
	}
	// Now the new one is good for certain, and only now others may go.
	for i := Kept - 1; i < len(numbers); i++ {
		if err := s.files.remove(fileName(numbers[i])); err != nil {
			return fmt.Errorf("keep bundle: %w", err)
		}
	}
	return nil
}

// write makes a file that is whole from the moment it has its name.
func (s *Store) write(b *Bundle, name string) error {
	f, err := s.files.create(unfinished)
	if err != nil {
		return err
	}
	if _, err = b.WriteTo(f); err == nil {
		err = f.Sync()
	}
	// After an fsync that failed nobody knows what is on disk: the file is given up, not synced again.
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, s.files.remove(unfinished))
	}
	if err := s.files.rename(unfinished, name); err != nil {
		return err
	}
	return s.files.sync()
}

// Skipped is a file of a store that was passed over, and why.
type Skipped struct {
	File string
	Err  error
}

// Newest is the newest bundle that is whole and that check, if it is not nil, has nothing against. Without any it returns
// nil: an empty store is no error. The newer ones that were passed over are told.
func (s *Store) Newest(check func(*Bundle) error) (*Bundle, []Skipped, error) {
	var skipped []Skipped
	for range 2 { // a second time, in case another process has removed what was just listed
		skipped = nil
		numbers, err := s.list()
		if err != nil {
			return nil, nil, fmt.Errorf("read store: %w", err)
		}
		gone := false
		for _, n := range numbers {
			file := filepath.Join(s.dir, fileName(n))
			b, err := ReadFile(file, s.maxSize)
			if err == nil && check != nil {
				err = check(b)
			}
			if err == nil {
				return b, skipped, nil
			}
			gone = gone || errors.Is(err, fs.ErrNotExist)
			skipped = append(skipped, Skipped{file, err})
		}
		if !gone {
			break
		}
	}
	return nil, skipped, nil
}

// list are the numbers of the bundles, the newest first.
func (s *Store) list() ([]uint64, error) {
	names, err := s.files.list()
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		n, err := strconv.ParseUint(strings.TrimSuffix(name, suffix), 10, 64)
		if err == nil && fileName(n) == name {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b uint64) int { return cmp.Compare(b, a) })
	return numbers, nil
}

func fileName(n uint64) string { return fmt.Sprintf("%0*d%s", digits, n, suffix) }

// lock keeps other processes from putting at the same time. The kernel gives the lock back when a process ends.
func (s *Store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return func() { f.Close() }, nil
}

// files are what a store does to its directory; a test has some that forget what was not synced.
type files interface {
	create(name string) (file, error) // empty, also if it was there
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	sync() error // the names
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// disk is a real directory.
type disk struct{ dir string }

func (d disk) create(name string) (file, error) {
	return os.OpenFile(filepath.Join(d.dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

func (d disk) rename(from, to string) error {
	return os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
}

func (d disk) remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }

func (d disk) list() ([]string, error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d disk) sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
