// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mutableAllowed are the package variables that may change after start, "folder.name": each with its reason.
var mutableAllowed = map[string]string{
	"registry.embedded": "a memo of an immutable value: reading the built-in table takes 25 ms, and who asks twice gets the same",
	"registry.defaults": "the same, with the dated changes that we know of",
}

// sourceFiles returns the files of the repository, relative to its root, what is built or fetched left out.
func sourceFiles(t *testing.T) (root string, files []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".cache", "bin", "node_modules":
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, files
}

func TestEveryGoFileNamesTheLicence(t *testing.T) {
	t.Parallel()
	root, files := sourceFiles(t)
	for _, file := range files {
		if !strings.HasSuffix(file, ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(text, []byte("// SPDX-License-Identifier: EUPL-1.2\n\n")) {
			t.Errorf("%s: wants the line // SPDX-License-Identifier: EUPL-1.2 and an empty line first", file)
		}
	}
}

// Files of this repository stand alone: nothing in them points at a machine or a folder outside.
func TestNothingNamesTheOutside(t *testing.T) {
	t.Parallel()
	// Spelled in two halves, so that this file passes itself.
	outside := regexp.MustCompile(`\.\./sh` + `ared|/wo` + `rk/|/tmp/pl` + `an|\b[Ii]ssue [A-H]\b|registry\.np` + `mjs|proxy\.gol` + `ang\.org|deb\.deb` + `ian\.org`)
	root, files := sourceFiles(t)
	for _, file := range files {
		if file == ".ci/run" {
			continue // the one place that knows where CI keeps the full-size material
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		if hit := outside.Find(text); hit != nil {
			t.Errorf("%s: names %q, which is outside the repository", file, hit)
		}
	}
}

func TestNoPackageStateAndNoInit(t *testing.T) {
	t.Parallel()
	root, files := sourceFiles(t)
	folders := map[string][]*ast.File{}
	set := token.NewFileSet()
	for _, file := range files {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.Contains(file, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(set, filepath.Join(root, file), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folders[filepath.Dir(file)] = append(folders[filepath.Dir(file)], f)
	}
	used := map[string]bool{}
	for folder, files := range folders {
		written := writtenNames(files)
		for _, f := range files {
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%v: func init; call it from where it is wanted", set.Position(fn.Pos()))
				}
				for name, cause := range mutable(decl, written) {
					key := folder + "." + name.Name
					if _, ok := mutableAllowed[key]; ok {
						used[key] = true
						continue
					}
					t.Errorf("%v: package variable %s %s; pass it, or add it to mutableAllowed with a reason", set.Position(name.Pos()), name.Name, cause)
				}
			}
		}
	}
	for key, reason := range mutableAllowed {
		if !used[key] || reason == "" {
			t.Errorf("mutableAllowed names %s, which needs no permission (or has no reason)", key)
		}
	}
}

// mutable returns the variables of decl that can change after start, with why.
func mutable(decl ast.Decl, written map[string]bool) map[*ast.Ident]string {
	found := map[*ast.Ident]string{}
	gen, ok := decl.(*ast.GenDecl)
	if !ok || gen.Tok != token.VAR {
		return found
	}
	embedded := strings.Contains(commentText(gen.Doc), "//go:embed")
	for _, spec := range gen.Specs {
		v := spec.(*ast.ValueSpec)
		for _, name := range v.Names {
			switch {
			case name.Name == "_":
			case written[name.Name]:
				found[name] = "is written after start"
			case len(v.Values) == 0 && !embedded && !strings.Contains(commentText(v.Doc), "//go:embed"):
				found[name] = "has no value, so somebody writes it"
			case hasState(v):
				found[name] = "holds state"
			}
		}
	}
	return found
}

func commentText(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text)
	}
	return b.String()
}

// hasState says that a variable's type or value is one whose only use is to change: locks, pools, atomics, channels.
func hasState(v *ast.ValueSpec) bool {
	state := false
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") {
				state = true
			}
		case *ast.ChanType:
			state = true
		}
		return true
	}
	if v.Type != nil {
		ast.Inspect(v.Type, look)
	}
	for _, value := range v.Values {
		ast.Inspect(value, look)
	}
	return state
}

// writtenNames returns the package-level names that a function of the package assigns to, counts up or takes the address
// of. A local of the same name is told apart by the declarations inside the function.
func writtenNames(files []*ast.File) map[string]bool {
	written := map[string]bool{}
	for _, f := range files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			local := localNames(fn)
			mark := func(e ast.Expr) {
				if id := root(e); id != nil && !slices.Contains(local, id.Name) {
					written[id.Name] = true
				}
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					if n.Tok != token.DEFINE {
						for _, e := range n.Lhs {
							mark(e)
						}
					}
				case *ast.IncDecStmt:
					mark(n.X)
				case *ast.RangeStmt:
					if n.Tok == token.ASSIGN {
						mark(n.Key)
					}
				}
				return true
			})
		}
	}
	return written
}

// root is the variable at the bottom of x.f[i] and *x.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func localNames(fn *ast.FuncDecl) []string {
	var names []string
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			names = append(names, id.Name)
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			add(n.Names...)
		case *ast.ValueSpec:
			add(n.Names...)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok {
						add(id)
					}
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					add(id)
				}
			}
		}
		return true
	})
	return names
}
