// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// signatureFile is the name of the file in which an owner signs a folder of
// routes.d with everything below it.
const signatureFile = "SIGNATURE"

// Folder is a folder of routes.d that bears a signature.
type Folder struct {
	Name      string // "routes.d/06-hessen"
	At        Origin // of its signature file
	Signature []byte // content of that
	// Files are the route and csv files in it, by their names from here, with
	// the digests of what was read. What a folder inside has signed for itself
	// is not among them.
	Files map[string]Hash
	Seal  Seal
}

// Seal is who has signed a folder.
type Seal struct {
	Owner   string    // by name; "" is nobody
	Key     string    // the owner's name for it
	Until   time.Time // the key's end; zero = open
	Created time.Time
}

// isSigned reports whether a file of this name is part of what is signed. Files
// of other names do nothing and may come and go.
func isSigned(name string) bool {
	ext := path.Ext(name)
	return !strings.HasPrefix(name, ".") && (ext == ".yaml" || ext == ".csv")
}

// SignatureFile is where the signature of a folder stands.
func SignatureFile(folder string) string { return filepath.Join(folder, signatureFile) }

// FolderFiles lists what a signature of the folder is about: see [Folder.Files].
func FolderFiles(folder string) (map[string]Hash, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := loader{cfg: &Config{}, sum: sha256.New(), sums: map[string]Hash{}}
	inner := map[string]bool{}
	err = fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != "." && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
		case e.IsDir():
		case e.Name() == signatureFile && path.Dir(p) != ".":
			inner[path.Join(routesDir, path.Dir(p))] = true
		case isSigned(e.Name()):
			l.dataFile(root, p)
		}
		return nil
	})
	if err == nil {
		err = l.errs.orNil()
	}
	if err != nil {
		return nil, err
	}
	files := map[string]Hash{}
	for name, sum := range l.sums {
		if nearest(name, func(folder string) bool { return inner[folder] }) == "" {
			files[strings.TrimPrefix(name, routesDir+"/")] = sum
		}
	}
	return files, nil
}

// nearest is the deepest folder around a file that has a property; "" if none has.
func nearest(name string, has func(folder string) bool) string {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if has(dir) {
			return dir
		}
	}
	return ""
}

// signature reads the signature file of a folder.
func (l *loader) signature(root *os.Root, p string) {
	name := path.Join(routesDir, p)
	f, err := root.Open(p)
	data, ok := l.slurp(name, f, err)
	l.cfg.read = append(l.cfg.read, filepath.Join(l.cfg.Dir, name))
	if ok {
		l.cfg.Folders = append(l.cfg.Folders, &Folder{
			Name: path.Dir(name), At: Origin{Where: FromFile, Name: name, Line: 1, Col: 1}, Signature: data, Files: map[string]Hash{},
		})
	}
}

// dataFile reads a file for its digest alone.
func (l *loader) dataFile(root *os.Root, p string) {
	name := path.Join(routesDir, p)
	f, err := root.Open(p)
	l.slurp(name, f, err)
}

// summed notes the digest of a file of routes.d. What is read twice must be the
// same, else the one that is judged would not be the one that is used.
func (l *loader) summed(at Origin, name string, data []byte) {
	if l.sums == nil || !strings.HasPrefix(name, routesDir+"/") || !isSigned(path.Base(name)) {
		return
	}
	sum := Hash(sha256.Sum256(data))
	if was, twice := l.sums[name]; twice && was != sum {
		l.fail(at, "the file changes while it is read; load again")
	}
	l.sums[name] = sum
}

// ownership finds out who answers for which file.
func (l *loader) ownership() {
	o := l.cfg.Root.Ownership
	if o == nil {
		return
	}
	slices.SortFunc(l.cfg.Folders, func(a, b *Folder) int { return strings.Compare(a.Name, b.Name) })
	folders := map[string]*Folder{}
	for _, f := range l.cfg.Folders {
		folders[f.Name] = f
	}
	in := func(name string) *Folder {
		return folders[nearest(name, func(dir string) bool { return folders[dir] != nil })]
	}
	for name, sum := range l.sums {
		if f := in(name); f != nil {
			f.Files[strings.TrimPrefix(name, f.Name+"/")] = sum
		}
	}
	for _, f := range l.cfg.Folders {
		if l.opts.Owner == nil {
			l.fail(f.At, "nobody here can judge signatures")
			continue
		}
		seal, errs := l.opts.Owner(l.cfg, f)
		l.errs = append(l.errs, errs...)
		f.Seal = seal
	}
	for i, file := range l.cfg.Files {
		f := in(file.Name)
		if csv := file.Blocks.Adoptions.CSV; csv.V != "" && in(path.Join(path.Dir(file.Name), csv.V)) != f {
			l.fail(csv.Origin, "csv %q lies in a folder that is signed by itself; whose file names it would answer for what others write there: put it beside this file", csv.V)
		}
		if f != nil {
			file.Owner = f.Seal.Owner
		} else if o.Required.V && i > 0 { // pvgate.yaml says whom to trust: nobody could sign it
			l.fail(file.At, "no owner has signed this file; pvgate config sign %s --key KEY signs its folder (owners: %s)", path.Dir(file.Name), strings.Join(ownerNames(o), ", "))
		}
	}
}

func ownerNames(o *Ownership) []string {
	names := make([]string, 0, len(o.Owners))
	for i := range o.Owners {
		names = append(names, o.Owners[i].Name.V)
	}
	slices.Sort(names)
	return names
}

// OwnerOf is who has signed a file of routes.d; "" is nobody.
func (c *Config) OwnerOf(file string) string {
	deepest, owner := "", ""
	for _, f := range c.Folders {
		if strings.HasPrefix(file, f.Name+"/") && len(f.Name) > len(deepest) {
			deepest, owner = f.Name, f.Seal.Owner
		}
	}
	return owner
}

// Owners is the end of a message about two files: whose they are, if that differs.
func (c *Config) Owners(here, there string) string {
	a, b := c.OwnerOf(here), c.OwnerOf(there)
	if a == b {
		return ""
	}
	return " (" + OwnerText(a) + " signed this, " + OwnerText(b) + " that)"
}

// OwnerText names an owner in a message.
func OwnerText(owner string) string {
	if owner == "" {
		return "no owner"
	}
	return "owner " + owner
}
