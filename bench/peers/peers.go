// SPDX-License-Identifier: EUPL-1.2

// Package peers writes the configurations under which pvgate and the programs it
// is compared with are measured. The templates beside this file are the whole
// tuning; nothing else is set anywhere.
//
// The calls you want: [Nginx], [Caddy], [Pvgate].
//
// It deliberately starts nothing.
package peers

import (
	"bufio"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"text/template"

	"github.com/pvgate/pvgate/bench/cert"
	"github.com/pvgate/pvgate/bench/entries"
)

// Hosts under which pvgate answers: the entry host, and that of the one backend.
const (
	EntryHost   = "gw.bench.example"
	BackendHost = "origin.gw.bench.example"
)

// Setting is what a configuration is filled with.
type Setting struct {
	// Dir is an existing folder of its own for the configuration and what the
	// program writes.
	Dir string
	// Origin is where the backend listens.
	Origin netip.AddrPort
	// Plain and TLS are where the program shall listen; Features is nginx's server
	// for what costs look-ups, Admin pvgate's admin listener.
	Plain, TLS, Features, Admin netip.AddrPort
	// Rows is the size of pvgate's registry, for the comment in its file.
	Rows int
}

//go:embed nginx.conf.tmpl
var nginxText string

//go:embed Caddyfile.tmpl
var caddyText string

//go:embed pvgate.yaml.tmpl
var pvgateText string

//go:embed routes.yaml.tmpl
var routesText string

// Nginx writes nginx.conf and, with the pairs that will be asked for, the map it
// includes. nginx gets these pairs alone: a million would only make it slower.
func Nginx(s Setting, pairs []entries.Pair) (path string, err error) {
	if err := checkDir(s.Dir); err != nil {
		return "", err
	}
	err = writeFile(filepath.Join(s.Dir, "map.inc"), func(w *bufio.Writer) error {
		for _, p := range pairs {
			fmt.Fprintf(w, "%s%s origin;\n", p.Leistung, p.Area)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := cert.Write(s.Dir, BackendHost, EntryHost); err != nil {
		return "", err
	}
	path = filepath.Join(s.Dir, "nginx.conf")
	return path, render(path, nginxText, s)
}

// Caddy writes a Caddyfile. It listens at TLS only.
func Caddy(s Setting) (path string, err error) {
	if err := checkDir(s.Dir); err != nil {
		return "", err
	}
	if err := cert.Write(s.Dir, BackendHost, EntryHost); err != nil {
		return "", err
	}
	path = filepath.Join(s.Dir, "Caddyfile")
	return path, render(path, caddyText, s)
}

// Pvgate writes pvgate.yaml, routes.d and the registry as a CSV file.
func Pvgate(s Setting, set *entries.Set) (path string, err error) {
	if err := checkDir(s.Dir); err != nil {
		return "", err
	}
	err = writeFile(filepath.Join(s.Dir, "entries.csv"), func(w *bufio.Writer) error { return set.WriteCSV(w) })
	if err != nil {
		return "", err
	}
	routes := filepath.Join(s.Dir, "routes.d")
	if err := os.MkdirAll(routes, 0o755); err != nil {
		return "", fmt.Errorf("peers: %w", err)
	}
	if err := render(filepath.Join(routes, "00-bench.yaml"), routesText, s); err != nil {
		return "", err
	}
	if err := cert.Write(s.Dir, BackendHost, EntryHost); err != nil {
		return "", err
	}
	path = filepath.Join(s.Dir, "pvgate.yaml")
	return path, render(path, pvgateText, s)
}

// plainPath holds what needs no quoting in either configuration language.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]+$`)

func checkDir(dir string) error {
	if !plainPath.MatchString(dir) {
		return fmt.Errorf("peers: folder %q must be absolute and of letters, digits and . _ + - only; set TMPDIR to such a one", dir)
	}
	return nil
}

func render(path, text string, s Setting) error {
	t, err := template.New(filepath.Base(path)).Delims("[[", "]]").Parse(text)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return writeFile(path, func(w *bufio.Writer) error { return t.Execute(w, s) })
}

func writeFile(path string, fill func(*bufio.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("peers: %w", e)
		}
	}()
	w := bufio.NewWriter(f)
	if err := fill(w); err != nil {
		return fmt.Errorf("peers: write %s: %w", path, err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("peers: write %s: %w", path, err)
	}
	return nil
}
