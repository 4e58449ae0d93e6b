// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// The files of a store in its folder: the objects, and what is in work.
const (
	dbFile     = "objects.db"
	workDir    = "work"
	changeFile = "changes"
)

// lockTime is how long another process may have the store.
const lockTime = 10 * time.Second

// ErrBusy says that another process has the store open.
var ErrBusy = errors.New("another process works on the store of objects; try again when it is done")

// Store keeps objects. One process has it at a time. Not safe for concurrent use.
type Store struct {
	dir string
	db  *bbolt.DB
	// crash is called between transactions; tests end an import by it. nil = nothing.
	crash func(at string) error
	// maxRows are given; objects that make more are refused, as every source's are.
	maxRows int
}

// System is what is known of an editorial system, by its schemeAgencyID.
type System struct {
	Objects map[string]int `json:"objects"`           // by class
	Newest  time.Time      `json:"newest,omitzero"`   // of its messages, as they say
	Written time.Time      `json:"imported,omitzero"` // when one was imported last
}

// State is what a store knows about itself.
type State struct {
	Format  int                `json:"format"`
	Systems map[string]*System `json:"systems"`
	// Imported is when the last delivery was applied, and Digest what it changed; "" if nothing.
	Imported time.Time `json:"imported,omitzero"`
	Digest   string    `json:"digest,omitempty"`
	// Serial ascends with every delivery that changed something.
	Serial uint64 `json:"serial"`
	// Cursor is where the next change is asked for.
	Cursor Cursor `json:"cursor,omitzero"`
	// Rows is what became of links when the rows were written last.
	Rows RowCounts `json:"rows"`
	// Quarantined counts the objects of the last delivery that could not be used; Faults are the first of them.
	Quarantined int      `json:"quarantined"`
	Faults      []string `json:"faults,omitempty"`
}

// Cursor is a place in a stream of changes.
type Cursor struct {
	Of    string `json:"of"` // URL at which the stream begins; elsewhere the place means nothing
	Index int64  `json:"index"`
	URL   string `json:"url"`
}

// Objects is the number of all objects.
func (s *State) Objects() (n int) {
	for _, system := range s.Systems {
		for _, c := range system.Objects {
			n += c
		}
	}
	return n
}

func (s *State) system(agency string) *System {
	if s.Systems[agency] == nil {
		s.Systems[agency] = &System{Objects: map[string]int{}}
	}
	return s.Systems[agency]
}

// pending is a delivery of which the changes are on disk, and perhaps some of them applied.
type pending struct {
	Next State `json:"next"` // what holds when all are
	Full bool  `json:"full"`
}

var (
	metaBucket = []byte("meta")
	stateKey   = []byte("state")
	pendingKey = []byte("pending")
)

// bucketOf is where the objects of a class lie.
func bucketOf(c xzufi.Class) []byte { return []byte{byte(c)} }

// Open opens the store of a folder, and makes it if there is none. An import that was interrupted is ended first.
func Open(ctx context.Context, dir string) (*Store, error) { return open(ctx, dir, lockTime) }

func open(ctx context.Context, dir string, wait time.Duration) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The pages that are free stand in the file, so that a large store is not read through when it is opened.
	db, err := bbolt.Open(filepath.Join(dir, dbFile), 0o600, &bbolt.Options{
		Timeout: wait, FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	s := &Store{dir: dir, db: db, maxRows: source.DefaultMaxRows}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), db.Close())
	}
	return s, nil
}

// Close ends the work on a store.
func (s *Store) Close() error { return s.db.Close() }

// begin makes what is missing, and ends what was interrupted.
func (s *Store) begin(ctx context.Context) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		for _, c := range xzufi.Classes() {
			if _, err := tx.CreateBucketIfNotExists(bucketOf(c)); err != nil {
				return err
			}
		}
		state, err := stateIn(meta)
		if err == nil && state.Format != format {
			err = fmt.Errorf("it has the form %d, and this program knows %d; remove the folder and import a whole delivery", state.Format, format)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.tell() // a process that was killed may not have
}

// settle ends an import that was interrupted, in another process or for want of space in this one. What has been applied
// already is the same once more.
func (s *Store) settle(ctx context.Context) error {
	var p *pending
	err := s.db.View(func(tx *bbolt.Tx) error {
		text := tx.Bucket(metaBucket).Get(pendingKey)
		if text == nil {
			return nil
		}
		p = &pending{}
		return json.Unmarshal(text, p)
	})
	if err != nil {
		return err
	}
	if p == nil {
		return os.RemoveAll(s.work())
	}
	if err := checkRun(ctx, s.changes()); errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		return fmt.Errorf("an import was interrupted and cannot be gone on with (%w); remove the folder and import a whole delivery", err)
	} else if err != nil {
		return err
	}
	return s.apply(ctx, p, func(int) {})
}

func (s *Store) work() string { return filepath.Join(s.dir, workDir) }

func (s *Store) changes() string { return filepath.Join(s.work(), changeFile) }

// State is what the store knows about itself.
func (s *Store) State() (state State, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		state, err = stateIn(tx.Bucket(metaBucket))
		return err
	})
	return state, err
}

func stateIn(meta *bbolt.Bucket) (State, error) {
	state := State{Format: format, Systems: map[string]*System{}}
	text := meta.Get(stateKey)
	if text == nil {
		return state, nil
	}
	err := json.Unmarshal(text, &state)
	for _, s := range state.Systems {
		if s == nil || s.Objects == nil {
			return state, errDecode
		}
	}
	return state, err
}

// ReadState is the state of the store of a folder that another process may have open: the last one that was written down. The
// zero State with fs.ErrNotExist says that there is none.
func ReadState(dir string) (State, error) {
	var state State
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	return state, err
}

// stateFile is a copy of the state for who only looks: the store itself is one process's at a time.
const stateFile = "state.json"

// tell writes the state down for who only looks, unless that is done.
func (s *Store) tell() error {
	var text []byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		text = bytes.Clone(tx.Bucket(metaBucket).Get(stateKey))
		return nil
	})
	if err != nil || text == nil {
		return err
	}
	path := filepath.Join(s.dir, stateFile)
	if told, err := os.ReadFile(path); err == nil && bytes.Equal(told, text) {
		return nil
	}
	return source.Replace(path, text)
}

// sorting gives a sorter whose files lie in the store's folder.
func (s *Store) sorting() (*sorter, error) {
	if err := os.MkdirAll(s.work(), 0o700); err != nil {
		return nil, err
	}
	return newSorter(s.work()), nil
}
