// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// store is what outlives a process, in a bbolt file that one process has open at a time:
//
//	hosts     host → hostState
//	failing   host \0 key → record: links that fail, stale ones among them
//	noted     host \0 key → record: links of which something else than "ok" is to be told
//	robots    origin → when (8 bytes, Unix seconds), rules
//
// Everything in it can be found out again, so a file that cannot be read is begun anew.
type store struct{ db *bbolt.DB }

// hostState is how far the round is at a host.
type hostState struct {
	Place  uint32    // of the next link
	Rounds uint32    // how many are over
	Held   time.Time `json:",omitzero"` // it wants to be left alone until then
}

// record is what is known of a link.
type record struct {
	verdict
	URL      string    `json:",omitempty"` // of a sample
	Failures int       `json:",omitempty"` // in a row, apart enough to count
	Since    time.Time `json:",omitzero"`  // the first of them
	At       time.Time // the last check
	Next     time.Time `json:",omitzero"` // before which it is not asked again
}

const (
	storeFile  = "links.db"
	storeForm  = "pvgate links 1"
	metaBucket = "meta"
)

// buckets are those of the links, and the others.
func linkBuckets() []string { return []string{"failing", "noted"} }

func bucketOf(r *record) string {
	if r.Result.Fails() {
		return "failing"
	}
	return "noted"
}

// errBusy says that another process has the store.
var errBusy = errors.New("another process checks the links")

// openStore opens the store of a folder, unless another process has it. With noSync a loss of power may cost it.
func openStore(dir string, noSync bool) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, storeFile)
	for again := false; ; again = true {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Millisecond, NoSync: noSync})
		if errors.Is(err, berrors.ErrTimeout) {
			return nil, errBusy
		}
		if err == nil {
			if err = db.Update(prepare); err == nil {
				return &store{db}, nil
			}
			err = errors.Join(err, db.Close())
		}
		var outside *os.PathError
		if again || errors.As(err, &outside) {
			return nil, err
		}
		if rerr := os.Remove(path); rerr != nil {
			return nil, errors.Join(err, rerr)
		}
	}
}

// prepare makes the buckets, or says that they are of another version.
func prepare(tx *bbolt.Tx) error {
	for _, name := range append(linkBuckets(), metaBucket, "hosts", "robots") {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(metaBucket))
	if form := meta.Get([]byte("form")); form != nil && string(form) != storeForm {
		return fmt.Errorf("the store is of the form %q", form)
	}
	return meta.Put([]byte("form"), []byte(storeForm))
}

// awaitStore opens the store when no other process has it any more.
func awaitStore(ctx context.Context, dir string, noSync bool) (*store, error) {
	for {
		s, err := openStore(dir, noSync)
		if !errors.Is(err, errBusy) {
			return s, err
		}
		timer := time.NewTimer(storeAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

func (s *store) close() error { return s.db.Close() }

func linkKey(host, key string) []byte { return []byte(host + "\x00" + key) }

// get gives what is known of a link; nil if it is nothing, or that it is in order.
func (s *store) get(host, key string) (r *record, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range linkBuckets() {
			if text := tx.Bucket([]byte(name)).Get(linkKey(host, key)); text != nil {
				r = &record{}
				return json.Unmarshal(text, r)
			}
		}
		return nil
	})
	return r, err
}

// put notes how far a host is, and what is known of one of its links; without a key only the former, and without a record
// that the link is in order.
func (s *store) put(host string, state hostState, key string, r *record) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := putJSON(tx.Bucket([]byte("hosts")), []byte(host), state); err != nil || key == "" {
			return err
		}
		for _, name := range linkBuckets() {
			b := tx.Bucket([]byte(name))
			if r != nil && bucketOf(r) == name {
				if err := putJSON(b, linkKey(host, key), r); err != nil {
					return err
				}
			} else if err := b.Delete(linkKey(host, key)); err != nil {
				return err
			}
		}
		return nil
	})
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

// host gives how far the round is at a host.
func (s *store) host(name string) (state hostState, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if text := tx.Bucket([]byte("hosts")).Get([]byte(name)); text != nil {
			return json.Unmarshal(text, &state)
		}
		return nil
	})
	return state, err
}

// maxLooked bounds how many records are looked at for one that is due.
const maxLooked = 32

// due finds a failing link of a host whose time has come, after a key in the ring of them.
func (s *store) due(host, after string, now time.Time) (key string, r *record, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c, prefix := tx.Bucket([]byte("failing")).Cursor(), linkKey(host, "")
		k, text := c.Seek(linkKey(host, after+"\x00"))
		turned := false
		for range maxLooked {
			if !bytes.HasPrefix(k, prefix) {
				if turned {
					return nil
				}
				turned = true
				if k, text = c.Seek(prefix); !bytes.HasPrefix(k, prefix) {
					return nil
				}
			}
			key = string(k[len(prefix):])
			var known record
			if err := json.Unmarshal(text, &known); err != nil {
				return err
			}
			if !known.Next.After(now) {
				r = &known
				return nil
			}
			k, text = c.Next()
		}
		return nil
	})
	return key, r, err
}

// each gives all that is known of links that are not simply in order.
func (s *store) each(give func(host, key string, r *record)) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range linkBuckets() {
			err := tx.Bucket([]byte(name)).ForEach(func(k, text []byte) error {
				var r record
				if err := json.Unmarshal(text, &r); err != nil {
					return err
				}
				host, key, _ := strings.Cut(string(k), "\x00")
				give(host, key, &r)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// maxSwept bounds a transaction that only deletes.
const maxSwept = 1000

// sweep forgets links and hosts that are not wanted any more, and old robots.txt.
func (s *store) sweep(wanted func(host, key string) bool, now time.Time) error {
	for _, name := range append(linkBuckets(), "hosts", "robots") {
		for from := []byte(nil); ; {
			var gone [][]byte
			err := s.db.View(func(tx *bbolt.Tx) error {
				c := tx.Bucket([]byte(name)).Cursor()
				k, v := c.Seek(from)
				for n := 0; k != nil && n < maxSwept; k, v = c.Next() {
					n++
					if name == "robots" {
						if now.Sub(writtenAt(v)) > robotsLife {
							gone = append(gone, bytes.Clone(k))
						}
					} else if host, key, _ := strings.Cut(string(k), "\x00"); !wanted(host, key) {
						gone = append(gone, bytes.Clone(k))
					}
				}
				from = bytes.Clone(k)
				return nil
			})
			if err == nil && len(gone) > 0 {
				err = s.db.Update(func(tx *bbolt.Tx) error {
					for _, k := range gone {
						if err := tx.Bucket([]byte(name)).Delete(k); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err != nil {
				return err
			}
			if from == nil {
				break
			}
		}
	}
	return nil
}

// rules gives what is known of an origin's robots.txt.
func (s *store) rules(origin string, now time.Time) (said rules, ok bool) {
	err := s.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte("robots")).Get([]byte(origin))
		if at := writtenAt(v); v == nil || now.Sub(at) >= robotsLife || at.After(now.Add(time.Minute)) {
			return nil
		}
		ok = true
		return json.Unmarshal(v[8:], &said)
	})
	return said, ok && err == nil
}

func writtenAt(v []byte) time.Time {
	if len(v) < 8 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
}

// keepRules keeps what a robots.txt says.
func (s *store) keepRules(origin string, said rules, now time.Time) error {
	text, err := json.Marshal(said)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("robots")).Put([]byte(origin), append(binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), text...))
	})
}
