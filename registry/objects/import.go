// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/guard"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// File is a part of a delivery.
type File struct {
	Name string // for messages
	Path string // where it is on this machine; "" = nowhere
	Open func() (io.ReadCloser, error)
}

// Delivery is what a source has given.
type Delivery struct {
	Source string
	Files  []File // of one object the last word holds
	// Full: of the editorial systems whose objects it writes it says all, and what it lacks is deleted. Otherwise it is a change.
	Full bool
	// Cursor is where the next change is asked for.
	Cursor Cursor
}

// Options say how an import is judged.
type Options struct {
	// Shrink is the share of an editorial system's objects of a class, 0 to 1, that a whole delivery may lack.
	Shrink float64
	// Accept is the digest of changes that are applied whatever they delete; "" = none.
	Accept string
	Limits xzufi.Limits
	Now    time.Time
	// Progress is called now and then; nil = nobody.
	Progress func(Progress)
}

// Progress is how far an import is.
type Progress struct {
	File    string // that is read; "" = all are
	Files   int    // of the delivery
	Read    int    // files that are read
	Bytes   int64  // read
	Objects int    // read, or when all are, changes applied
	Changes int    // to be applied
}

// Report is what an import has done.
type Report struct {
	Digest      string        `json:"digest,omitempty"` // of the changes; "" = nothing has changed
	Files       int           `json:"files"`
	Bytes       int64         `json:"bytes"`
	Written     int           `json:"written"`   // objects that are new or other than before
	Unchanged   int           `json:"unchanged"` // objects that came as they were
	Deleted     int           `json:"deleted"`
	Orphans     int           `json:"orphans"`     // loesche of objects that there are not
	Quarantined int           `json:"quarantined"` // objects that could not be used; what there was of them stays
	Faults      []xzufi.Fault `json:"faults,omitempty"`
	Objects     int           `json:"objects"` // in the store
}

// Shrunk refuses a whole delivery that lacks too much. It can be accepted by its digest.
type Shrunk struct {
	source.Refusal
	Digest string
}

func (s *Shrunk) Unwrap() error { return &s.Refusal }

// Import applies a delivery. A *source.Refusal, or a *Shrunk, says why it is not; then the store is as it was.
func (s *Store) Import(ctx context.Context, d *Delivery, o *Options) (*Report, error) {
	if len(d.Files) == 0 && d.Full {
		return nil, refuse(d, source.CauseEmpty, "the index names no file; an empty delivery is refused")
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	sorter, err := s.sorting()
	if err != nil {
		return nil, err
	}
	in := &incoming{store: s, d: d, o: o, sorter: sorter, agencies: map[string]time.Time{}, progress: Progress{Files: len(d.Files)}}
	report, err := in.run(ctx)
	err = errors.Join(err, in.sorter.close())
	return report, err
}

func refuse(d *Delivery, cause source.Cause, format string, args ...any) *source.Refusal {
	return &source.Refusal{Cause: cause, Origin: registry.Origin{Source: d.Source, File: d.Source}, Text: fmt.Sprintf(format, args...)}
}

// incoming is a delivery on its way into the store.
type incoming struct {
	store  *Store
	d      *Delivery
	o      *Options
	sorter *sorter
	report Report
	// agencies are the systems whose objects came, with the newest message that had some; message is the one that is read.
	agencies map[string]time.Time
	inFile   map[string]bool
	key, val []byte
	progress Progress
}

func (in *incoming) run(ctx context.Context) (*Report, error) {
	for _, f := range in.d.Files {
		if err := in.read(ctx, f); err != nil {
			return nil, err
		}
	}
	if in.d.Full && len(in.agencies) == 0 {
		return nil, refuse(in.d, source.CauseEmpty, "none of its %d files holds an object; an empty delivery is refused", len(in.d.Files))
	}
	p := &pending{Full: in.d.Full}
	var err error
	if p.Next, err = in.store.State(); err != nil {
		return nil, err
	}
	in.tell("")
	changes, err := in.compare(ctx, &p.Next)
	if err = errors.Join(err, in.sorter.close()); err != nil {
		return nil, err
	}
	if err := in.bound(len(p.Next.Systems)); err != nil {
		return nil, err
	}
	in.report.Files, in.report.Objects = len(in.d.Files), p.Next.Objects()
	in.note(&p.Next)
	if changes == 0 {
		return &in.report, in.store.finish(&p.Next)
	}
	in.progress.Objects, in.progress.Changes = 0, changes
	in.tell("")
	if err := in.store.promise(p); err != nil {
		return nil, err
	}
	return &in.report, in.store.apply(ctx, p, func(applied int) {
		in.progress.Objects = applied
		in.tell("")
	})
}

// note writes down what the delivery says of itself.
func (in *incoming) note(next *State) {
	next.Imported, next.Digest, next.Quarantined, next.Faults = in.o.Now.UTC(), in.report.Digest, in.report.Quarantined, nil
	for i := range in.report.Faults {
		if i == maxFaultsKept {
			break
		}
		next.Faults = append(next.Faults, in.report.Faults[i].String())
	}
	if in.report.Digest != "" {
		next.Serial++
	}
	if in.d.Cursor != (Cursor{}) {
		next.Cursor = in.d.Cursor
	}
	for agency, created := range in.agencies {
		s := next.Systems[agency]
		if s == nil {
			continue // there were only deletions of what there is not
		}
		s.Written = next.Imported
		if created.After(s.Newest) {
			s.Newest = created.UTC()
		}
	}
}

const maxFaultsKept = 100

// read puts a file's objects before the sorter.
func (in *incoming) read(ctx context.Context, f File) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	in.inFile = map[string]bool{}
	in.progress.File = f.Name
	counted := &counter{r: r, in: in}
	m, err := xzufi.Read(ctx, counted, xzufi.Options{Source: in.d.Source, File: f.Name, Limits: in.o.Limits, Fault: in.fault}, in.object)
	if err != nil {
		return err
	}
	for agency := range in.inFile {
		if at, seen := in.agencies[agency]; !seen || m.Created.After(at) {
			in.agencies[agency] = m.Created
		}
	}
	if err := in.bound(len(in.agencies)); err != nil {
		return err
	}
	in.report.Bytes += counted.n
	in.progress.Read++
	in.tell(f.Name)
	return nil
}

// counter counts what is read, and tells now and then.
type counter struct {
	r  io.Reader
	n  int64
	in *incoming
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	before := c.n
	c.n += int64(n)
	c.in.progress.Bytes += int64(n)
	if c.n>>24 != before>>24 {
		c.in.tell(c.in.progress.File)
	}
	return n, err
}

func (in *incoming) tell(file string) {
	in.progress.File = file
	if in.o.Progress != nil {
		in.o.Progress(in.progress)
	}
}

// object takes an object of a file.
func (in *incoming) object(_ int, o xzufi.Object) error {
	id := o.Identity()
	in.key = appendKey(append(in.key[:0], byte(o.Class())), id)
	in.progress.Objects++
	_, gone := o.(*xzufi.Delete)
	if (!gone || !in.d.Full) && !in.inFile[id.AgencyID] { // a whole delivery speaks for those of whom it writes something
		in.inFile[id.AgencyID] = true
		if err := in.bound(len(in.inFile)); err != nil {
			return err
		}
	}
	if gone {
		return in.sorter.add(in.key, []byte{opDelete})
	}
	var err error
	if in.val, err = encode(append(in.val[:0], opWrite), o); err != nil {
		return err
	}
	return in.sorter.add(in.key, in.val)
}

// maxSystems bounds the editorial systems of a store, of each of which it holds an account. There are some dozens.
const maxSystems = 4096

func (in *incoming) bound(systems int) error {
	if systems > maxSystems {
		return refuse(in.d, source.CauseOversized, "objects of more than %d editorial systems (schemeAgencyID)", maxSystems)
	}
	return nil
}

// fault takes an object that cannot be used. If it is known which one it was, what there is of it stays.
func (in *incoming) fault(f xzufi.Fault) error {
	in.report.Quarantined++
	if len(in.report.Faults) < source.MaxFaults {
		in.report.Faults = append(in.report.Faults, f)
	}
	if f.Class == 0 || f.ID.IsZero() || f.Delete {
		return nil
	}
	in.key = appendKey(append(in.key[:0], byte(f.Class)), f.ID)
	return in.sorter.add(in.key, []byte{opKeep})
}

// compare writes what differs from the store to the file of changes, and counts what the systems will have.
func (in *incoming) compare(ctx context.Context, next *State) (changes int, err error) {
	w, err := createRun(in.store.changes())
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	c := &comparison{in: in, next: next, lost: map[lossKey]int{}, emit: func(key, value []byte) error {
		changes++
		fmt.Fprintf(sum, "%d %d ", len(key), len(value))
		sum.Write(key)
		sum.Write(value)
		return w.add(key, value)
	}}
	had := map[lossKey]int{}
	for agency, s := range next.Systems {
		for class, n := range s.Objects {
			had[lossKey{agency, class}] = n
		}
	}
	err = in.store.db.View(func(tx *bbolt.Tx) error {
		c.tx = tx
		if err := in.sorter.each(func(key, value []byte) error { return c.record(ctx, key, value) }); err != nil {
			return err
		}
		return c.rest(ctx, int(xzufi.ClassFormular)+1)
	})
	if err = errors.Join(err, w.close(true)); err != nil || changes == 0 {
		return 0, err
	}
	if err := errors.Join(syncFolder(in.store.work()), syncFolder(in.store.dir)); err != nil {
		return 0, err
	}
	in.report.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return changes, in.judge(had, c.lost)
}

// syncFolder makes the names in a folder certain, also after a loss of power.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type lossKey struct{ agency, class string }

// judge refuses a whole delivery that lacks too much of what a system had.
func (in *incoming) judge(had, lost map[lossKey]int) error {
	if !in.d.Full || in.o.Accept == in.report.Digest {
		return nil
	}
	worst, text := 0, ""
	for k, n := range lost {
		if n > guard.Few && float64(n) > in.o.Shrink*float64(had[k]) && (n > worst || n == worst && k.agency+k.class < text) {
			worst = n
			text = fmt.Sprintf("%d of %d objects of class %s of %q are missing (at most %.3g%% may be); is the delivery whole?", n, had[k], k.class, k.agency, 100*in.o.Shrink)
		}
	}
	if worst == 0 {
		return nil
	}
	return &Shrunk{Refusal: *refuse(in.d, source.CauseShrunk, "%s", text), Digest: in.report.Digest}
}

// comparison walks over the delivery and, if that is whole, over the store beside it.
type comparison struct {
	in     *incoming
	next   *State
	tx     *bbolt.Tx
	lost   map[lossKey]int
	emit   func(key, value []byte) error
	class  int           // of the bucket that is walked over
	cursor *bbolt.Cursor // nil before the first
	at     []byte        // key that the cursor is at; nil = behind the last
	has    []byte        // its value
	out    []byte
	n      int
}

// record takes what the delivery says of one object.
func (c *comparison) record(ctx context.Context, key, value []byte) error {
	if c.n++; c.n&4095 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	b := c.tx.Bucket(key[:1])
	if b == nil {
		return errDamaged
	}
	var old []byte
	if c.in.d.Full {
		if err := c.rest(ctx, int(key[0])); err != nil {
			return err
		}
		if err := c.upTo(ctx, key[1:]); err != nil {
			return err
		}
		if c.at != nil && bytes.Equal(c.at, key[1:]) {
			old = c.has
			c.at, c.has = c.cursor.Next()
		}
	} else {
		old = b.Get(key[1:])
	}
	switch value[0] {
	case opKeep:
	case opDelete:
		if old == nil {
			c.in.report.Orphans++
			return nil
		}
		return c.gone(key)
	default:
		if old != nil && bytes.Equal(old, value[1:]) {
			c.in.report.Unchanged++
			return nil
		}
		if old == nil {
			c.count(key, 1)
		}
		c.in.report.Written++
		return c.emit(key, value)
	}
	return nil
}

// rest goes on to the bucket of a class; what is left of those before it is missing.
func (c *comparison) rest(ctx context.Context, class int) error {
	if !c.in.d.Full {
		return nil
	}
	for c.class < class {
		if err := c.upTo(ctx, nil); err != nil {
			return err
		}
		c.class++
		if b := c.tx.Bucket([]byte{byte(c.class)}); b != nil {
			c.cursor = b.Cursor()
			c.at, c.has = c.cursor.First()
		}
	}
	return nil
}

// upTo takes what the store has before a key, nil = the end, as missing, if the delivery speaks for its system.
func (c *comparison) upTo(ctx context.Context, key []byte) error {
	for c.at != nil && (key == nil || bytes.Compare(c.at, key) < 0) {
		if c.n++; c.n&4095 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if agency, _, _ := bytes.Cut(c.at, []byte{0}); c.speaks(agency) {
			c.out = append(append(c.out[:0], byte(c.class)), c.at...)
			c.lost[lossKey{string(agency), xzufi.Class(c.class).String()}]++
			if err := c.gone(c.out); err != nil {
				return err
			}
		}
		c.at, c.has = c.cursor.Next()
	}
	return nil
}

func (c *comparison) speaks(agency []byte) bool {
	_, ok := c.in.agencies[string(agency)]
	return ok
}

func (c *comparison) gone(key []byte) error {
	c.count(key, -1)
	c.in.report.Deleted++
	return c.emit(key, []byte{opDelete})
}

func (c *comparison) count(key []byte, n int) {
	agency, _, _ := bytes.Cut(key[1:], []byte{0})
	c.next.system(string(agency)).Objects[xzufi.Class(key[0]).String()] += n
}

// PathFile is a file of this machine as a part of a delivery.
func PathFile(path, name string) File {
	return File{Name: name, Path: path, Open: func() (io.ReadCloser, error) { return os.Open(filepath.Clean(path)) }}
}

// MemoryLimit is what a process that imports or exports tells its garbage collector, in bytes (GOMEMLIMIT): what it needs is less,
// and the collector need not let as much again lie.
const MemoryLimit = 40 << 20
