// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what is read. They are far above any real configuration and far
// below what would hurt the machine.
const (
	maxFileBytes  = 8 << 20
	maxTotalBytes = 64 << 20
	maxFiles      = 4096
)

// routesDir is the folder of route files beside pvgate.yaml.
const routesDir = "routes.d"

// Hash is a SHA-256 digest.
type Hash [sha256.Size]byte

// String returns the first 16 hex digits, enough to tell configurations apart.
func (h Hash) String() string { return hex.EncodeToString(h[:8]) }

// Options are what Load takes besides the path.
type Options struct {
	// Flags are settings from the command line by the Key of [Scalars],
	// such as "domain". They go before the environment and the file.
	Flags map[string]string
	// Reasons are the codes of the closed list of reasons: no backend may be
	// named like one, and tests may want one.
	Reasons []string
	// Owner says who has signed a folder, and whether it is as it was signed.
	// Nil trusts no signature.
	Owner func(c *Config, f *Folder) (Seal, Errors)
}

// Load reads pvgate.yaml at path and routes.d/**.yaml beside it.
//
// The error is an [Errors] with every fault found. The configuration is then
// still returned, as far as it could be read, so that the caller can look for
// further faults; it must not be served.
func Load(path string, o Options) (*Config, error) {
	c := &Config{Path: path, Dir: filepath.Dir(path)}
	l := loader{cfg: c, opts: o, sum: sha256.New(), sums: map[string]Hash{}}
	l.root()
	l.routes()
	l.ownership()
	l.check()
	l.sum.Sum(c.Hash[:0])
	return c, l.errs.orNil()
}

// loader is the state of one Load.
type loader struct {
	cfg   *Config
	opts  Options
	errs  Errors
	sum   hash.Hash
	total int64
	files int
	sums  map[string]Hash // of the files of routes.d that can be signed, by name; nil where nobody asks
}

func (l *loader) fail(o Origin, format string, args ...any) {
	l.errs = append(l.errs, At(o, format, args...))
}

// root reads pvgate.yaml.
func (l *loader) root() {
	name := filepath.Base(l.cfg.Path)
	top := &RouteFile{Name: name, Area: Text{V: "00"}}
	l.cfg.Files = append(l.cfg.Files, top)
	d := decoder{file: name}
	root := valueOf(&l.cfg.Root)
	f, err := os.Open(l.cfg.Path)
	data, ok := l.slurp(name, f, err)
	l.cfg.read = append(l.cfg.read, l.cfg.Path)
	if ok {
		if n, errs := parseYAML(name, data); n != nil {
			l.errs = append(l.errs, errs...)
			d.block(n, root, &field{key: "the file"})
		} else {
			l.errs = append(l.errs, errs...)
			d.setDefaults(root)
		}
	} else {
		d.setDefaults(root)
	}
	l.errs = append(l.errs, d.errs...)
	l.errs = append(l.errs, mergeScalars(&l.cfg.Root, l.opts.Flags)...)
	if len(l.cfg.Root.Listen) == 0 {
		l.cfg.Root.Listen = make([]Listener, 1)
		d.setDefaults(valueOf(&l.cfg.Root.Listen[0]))
		l.cfg.Root.Listen[0].Address = Text{V: defaultListen}
	}
	for i := range l.cfg.Root.Listen {
		h, domain := &l.cfg.Root.Listen[i].Hosts, l.cfg.Root.Domain.V
		if h.Origin.Where == FromDefault && domain != "" {
			h.Names = []Text{{V: domain}, {V: "*." + domain}}
		}
	}
	top.At = Origin{Where: FromFile, Name: name, Line: 1, Col: 1}
	top.Blocks = l.cfg.Root.Routes
	l.adoptionRows(nil, top)
	l.cfg.Root.Routes = RouteBlocks{}
}

// defaultListen is where pvgate listens when nobody says: this machine only.
const defaultListen = "127.0.0.1:8080"

// routes reads routes.d through an os.Root, so that no symbolic link leads out
// of it: a file delegated to a Land must not pull other files of the machine
// into messages. Links inside are followed, which is how Kubernetes mounts a
// ConfigMap. A folder that does not exist is an empty one.
func (l *loader) routes() {
	root, err := os.OpenRoot(filepath.Join(l.cfg.Dir, routesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	at := Origin{Where: FromFile, Name: routesDir}
	if err != nil {
		l.fail(at, "the folder cannot be read: %v", cause(err))
		return
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		o := Origin{Where: FromFile, Name: path.Join(routesDir, p)}
		if err != nil {
			l.fail(o, "cannot be read: %v", cause(err))
			return nil
		}
		// Hidden names are editors' and Kubernetes' own (.06.yaml.swp, ..data).
		if p != "." && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		switch path.Ext(p) {
		case "":
			if e.Name() == signatureFile && l.cfg.Root.Ownership != nil {
				l.signature(root, p)
			}
		case ".csv":
			if l.cfg.Root.Ownership != nil {
				l.dataFile(root, p)
			}
		case ".yml":
			l.fail(o, "the name ends in .yml and would be passed over; rename it to %s.yaml", strings.TrimSuffix(e.Name(), ".yml"))
		case ".yaml":
			l.files++
			if l.files > maxFiles {
				l.fail(o, "there are more than %d route files", maxFiles)
				return fs.SkipAll
			}
			l.routeFile(root, p)
		}
		return nil
	})
	if err != nil {
		l.fail(at, "cannot be read: %v", cause(err))
	}
	slices.SortStableFunc(l.cfg.Files[1:], func(a, b *RouteFile) int { return compareFiles(a.Name, b.Name) })
}

// isRouteFile reports whether a name in routes.d is read, or complained about.
func isRouteFile(name string) bool {
	return isSigned(name) || name == signatureFile || path.Ext(name) == ".yml" && !strings.HasPrefix(name, ".")
}

// routeFile reads one file of routes.d.
func (l *loader) routeFile(root *os.Root, p string) {
	name := path.Join(routesDir, p)
	f, err := root.Open(p)
	data, ok := l.slurp(name, f, err)
	if !ok {
		return
	}
	l.cfg.read = append(l.cfg.read, filepath.Join(l.cfg.Dir, routesDir, p))
	n, errs := parseYAML(name, data)
	l.errs = append(l.errs, errs...)
	if n == nil {
		return
	}
	file := &RouteFile{Name: name}
	d := decoder{file: name}
	d.block(n, valueOf(file), &field{key: "the file"})
	l.errs = append(l.errs, d.errs...)
	l.cfg.Files = append(l.cfg.Files, file)
	l.adoptionRows(root, file)
}

// slurp reads a whole file within the bounds and adds it to the digest.
func (l *loader) slurp(name string, f *os.File, err error) ([]byte, bool) {
	at := Origin{Where: FromFile, Name: name}
	if err != nil {
		l.fail(at, "cannot be read: %v", cause(err))
		return nil, false
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		l.fail(at, "is no regular file; only files can be read")
		return nil, false
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	l.total += int64(len(data))
	switch {
	case err != nil:
		l.fail(at, "cannot be read: %v", cause(err))
		return nil, false
	case len(data) > maxFileBytes:
		l.fail(at, "the file is larger than %d MiB; split it", maxFileBytes>>20)
		return nil, false
	case l.total > maxTotalBytes:
		l.fail(at, "the files together are larger than %d MiB", maxTotalBytes>>20)
		return nil, false
	}
	addDigest(l.sum, name, data)
	l.summed(at, name, data)
	return data, true
}

// addDigest adds a file so that no two sets of files look alike: both parts are
// led by their lengths.
func addDigest(w io.Writer, name string, data []byte) {
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(len(name)))
	binary.BigEndian.PutUint64(n[8:], uint64(len(data)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = io.WriteString(w, name)
	_, _ = w.Write(data)
}

// cause is the reason of a failed file operation without the path, which the
// place of the message already names.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Resolve returns a path of pvgate.yaml as one the process can open: relative
// ones start from the folder of pvgate.yaml.
func (c *Config) Resolve(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}

// Inputs lists every file the configuration consists of or names: what was read
// and the data files of the registry.
func (c *Config) Inputs() []string {
	in := slices.Clone(c.read)
	for _, t := range []Text{c.Root.Areas.File, c.Root.Areas.Aliases, c.Root.Leistungen, c.Root.ContextKeys} {
		if t.V != "" {
			in = append(in, c.Resolve(t.V))
		}
	}
	for i := range c.Root.Sources {
		for _, file := range [...]string{c.Root.Sources[i].InputFile(), c.Root.Sources[i].Keys.V, c.Root.Sources[i].Lookup.ClientIDFile.V} {
			if file != "" {
				in = append(in, c.Resolve(file))
			}
		}
	}
	if o := c.Root.Ownership; o != nil {
		for i := range o.Owners {
			if k := o.Owners[i].V.Keys.V; k != "" {
				in = append(in, c.Resolve(k))
			}
		}
	}
	for i := range c.Root.Senders {
		if h := c.Root.Senders[i].V.HMAC; h != nil && h.Keys.V != "" {
			in = append(in, c.Resolve(h.Keys.V))
		}
	}
	slices.Sort(in)
	return slices.Compact(in)
}

// LoadAliases reads the file that areas.aliases names. The messages call the
// file by name, mostly the path as pvgate.yaml writes it.
func LoadAliases(file, name string) ([]Alias, error) {
	l := loader{sum: sha256.New()}
	f, err := os.Open(file)
	data, ok := l.slurp(name, f, err)
	if !ok {
		return nil, l.errs.orNil()
	}
	n, errs := parseYAML(name, data)
	if n == nil {
		return nil, errs.orNil()
	}
	d := decoder{file: name, errs: errs}
	var out AliasFile
	if n.Kind == yaml.SequenceNode { // the bare list is clear enough
		d.value(n, valueOf(&out.Aliases), &field{key: "aliases", need: "yes"})
	} else {
		d.block(n, valueOf(&out), &field{key: "the file"})
	}
	return out.Aliases, d.errs.orNil()
}

// valueOf is the addressable reflection of what p points to.
func valueOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }
