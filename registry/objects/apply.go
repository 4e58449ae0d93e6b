// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"go.etcd.io/bbolt"

	"github.com/pvgate/pvgate/registry/xzufi"
)

// What is said of an object, the first byte of a record's value.
const (
	opWrite  = 'w'
	opDelete = 'd'
	opKeep   = 'k' // it came with a fault: what there was stays
)

// The bounds of one transaction: what it writes, and how many of the store's pages it touches. Each costs memory.
const (
	batchBytes = 2 << 20
	batchNodes = 800
	batchLook  = 64 // records between two looks at the pages
)

// apply puts the changes into the store, in the order of their keys, and then the state that they make. It tells how many
// are applied.
func (s *Store) apply(ctx context.Context, p *pending, told func(applied int)) (err error) {
	r, err := openRun(s.changes(), 256<<10)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for applied, more := 0, true; more; told(applied) {
		if err := s.crashing("batch"); err != nil {
			return err
		}
		var n int
		if n, more, err = s.batch(ctx, r, p.Full); err != nil {
			return err
		}
		applied += n
	}
	if err := s.crashing("end"); err != nil {
		return err
	}
	if err := s.finish(&p.Next); err != nil {
		return err
	}
	return os.RemoveAll(s.work())
}

// batch applies records in one transaction until there are no more, or enough.
func (s *Store) batch(ctx context.Context, r *runReader, full bool) (n int, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		buckets := map[byte]*bbolt.Bucket{}
		for _, c := range xzufi.Classes() {
			b := tx.Bucket(bucketOf(c))
			if full { // keys ascend: pages need little room for what might come between
				b.FillPercent = 0.9
			}
			buckets[byte(c)] = b
		}
		size := 0
		for {
			ok, err := r.next()
			if err != nil || !ok {
				return err
			}
			n++
			b := buckets[r.key[0]]
			if b == nil || len(r.value) == 0 {
				return errDamaged
			}
			if r.value[0] == opDelete {
				err = b.Delete(r.key[1:])
			} else {
				// bbolt keeps the value until the transaction ends; of the key it makes a copy.
				err = b.Put(r.key[1:], append([]byte(nil), r.value[1:]...))
			}
			if err != nil {
				return err
			}
			size += len(r.key) + len(r.value)
			stats := tx.Stats()
			if size > batchBytes || n%batchLook == 0 && stats.GetNodeCount() > batchNodes {
				more = true
				return nil
			}
		}
	})
	return n, more, err
}

// finish makes a state hold, and with it all that was applied.
func (s *Store) finish(next *State) error {
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		return errors.Join(meta.Put(stateKey, text), meta.Delete(pendingKey))
	})
	if err != nil {
		return err
	}
	return s.tell()
}

// promise notes that the changes on disk are to be applied: from here on they are, whatever happens.
func (s *Store) promise(p *pending) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(pendingKey, text) })
}

func (s *Store) crashing(at string) error {
	if s.crash == nil {
		return nil
	}
	return s.crash(at)
}

// checkRun reads a run to its end.
func checkRun(ctx context.Context, path string) error {
	r, err := openRun(path, 256<<10)
	if err != nil {
		return err
	}
	for ok := true; ok && err == nil; {
		if err = ctx.Err(); err == nil {
			ok, err = r.next()
		}
	}
	return errors.Join(err, r.close())
}
