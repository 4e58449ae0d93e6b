// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The direction of imports, as policy: registry ← routing ← gateway ← cmd → config, and inside gateway the machines
// below the reactor below the server. One line per package, "package: what of ours it may import"; "x/..." is x and
// everything below it, a later word may not repeat an earlier one's right. A package has the first line that fits. The
// test fails when a package has no line, when it imports more than its line says, and when a line or a word in it names
// no package any more, so that this text stays true.
const direction = `
registry/gv100ad: registry
registry/source/...: registry/...
registry/registrytest: registry registry/source registry/bundle registry/signing
registry/bundle: registry registry/source registry/signing
registry/refresh: registry/source
registry/guard: registry/bundle registry/source
registry/lookup: registry registry/source
registry/lookup/rest: registry registry/fetch registry/lookup registry/source
registry/lookup/pvog: registry registry/lookup registry/lookup/rest registry/source
registry/lookup/fitconnect: registry registry/lookup registry/lookup/rest registry/source
registry/generate: registry registry/xzufi
registry/fetch: registry registry/source
registry/index: registry registry/bundle
registry/signing: registry
registry/xzufi: registry registry/source
registry/objects: registry registry/guard registry/source registry/xzufi
registry/links: registry registry/fetch registry/index registry/source
registry/delivery: registry registry/fetch registry/objects registry/source
registry/internal/rows:
registry/internal/mkareas: registry registry/gv100ad
registry: registry/internal/rows

routing: registry registry/index

gateway/message:
gateway/http1: gateway/message
gateway/http2: gateway/huffman gateway/message
gateway/huffman:
gateway/forwarded: gateway/message
gateway/proxyproto: gateway/message
gateway/mac:
gateway/prefetch:
gateway/signature: gateway/mac
gateway/header: gateway/message gateway/forwarded
gateway/reason: gateway/message routing
gateway/limit: gateway/prefetch
gateway/overload:
gateway/keyring:
gateway/certs/certstest:
gateway/certs: gateway/keyring
gateway/handover: gateway/mac registry
gateway/pages: gateway/reason gateway/message
gateway/exchange: gateway/message gateway/header gateway/reason
gateway/loop: gateway/prefetch
gateway/loop/simsys: gateway/loop
gateway/endpoint: gateway/message gateway/prefetch registry
gateway/dns: gateway/endpoint gateway/message
gateway/health: gateway/endpoint
gateway/upstream: gateway/message gateway/prefetch gateway/endpoint gateway/http1 gateway/loop gateway/tlsconn
gateway/listen: gateway/loop
gateway/systemd: gateway/listen
gateway/tlsconn: gateway/loop
gateway/conn: gateway/message gateway/exchange gateway/http1 gateway/http2 gateway/loop gateway/proxyproto gateway/tlsconn
gateway/http3/wire: gateway/huffman gateway/message
gateway/http3: gateway/message gateway/exchange gateway/http3/wire gateway/loop gateway/tlsconn gateway/conn
gateway/surface: gateway/exchange gateway/forwarded gateway/handover gateway/header gateway/message gateway/reason gateway/pages gateway/limit gateway/prefetch gateway/signature routing registry registry/lookup
gateway/accesslog: gateway/exchange gateway/message gateway/reason
gateway/meter: gateway/exchange gateway/prefetch gateway/reason
gateway: gateway/accesslog gateway/conn gateway/endpoint gateway/exchange gateway/header gateway/http1 gateway/http3 gateway/limit gateway/listen gateway/loop gateway/message gateway/meter gateway/overload gateway/prefetch gateway/tlsconn gateway/upstream
gateway/metrics: gateway gateway/conn gateway/dns gateway/exchange gateway/meter gateway/reason registry/lookup
gateway/gatewaytest: gateway gateway/certs/certstest gateway/conn gateway/endpoint gateway/handover gateway/limit gateway/metrics gateway/pages gateway/surface gateway/tlsconn gateway/upstream routing registry
gateway/admin:

config:

bench/corpora/strict:
bench/...: bench/...

cmd/pvgate: registry/... routing gateway/... config
`

// What tests may import beyond the line of their package: their own folder, and what lies below it in the direction.
const directionOfTests = `
registry/lookup/...: registry/... bench/scripted
registry/...: registry/... bench/proof bench/ratio
routing/...: routing/... registry/... bench/proof
gateway/...: gateway/... routing/... registry/... bench/quicraw
config/...: config/...
bench/corpora/strict:  bench/corpora/strict
bench/...: bench/...
cmd/pvgate: registry/... routing/... gateway/... config bench/scripted
`

// Imports from outside that only the named packages may have. A leading ! turns it round: the named may not.
const outside = `
github.com/quic-go/quic-go: gateway/http3 gateway/gatewaytest bench/load bench/rig
golang.org/x/sys/unix: gateway/loop gateway/loop/... gateway/listen gateway/systemd bench/...
github.com/spf13/viper: config
github.com/spf13/cobra: cmd/pvgate
net: !gateway/message !gateway/http1 !gateway/http2 !gateway/http3/wire !gateway/header !gateway/handover !gateway/exchange !routing
net/http: !gateway/http3 !gateway/message !gateway/http1 !gateway/http2 !gateway/header !gateway/handover !gateway/exchange !gateway/conn !gateway/loop !gateway/upstream !routing
os: !gateway/message !gateway/http1 !gateway/http2 !gateway/http3/wire !gateway/header !gateway/handover !gateway/exchange !routing
syscall: !gateway/message !gateway/http1 !gateway/http2 !gateway/http3/wire !gateway/header !gateway/handover !gateway/exchange !routing
time: !gateway/message !gateway/http1 !gateway/http2 !gateway/http3/wire !gateway/header !gateway/handover
C: -
unsafe: gateway/loop gateway/prefetch registry/bundle bench/...
`

const module = "github.com/pvgate/pvgate"

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// rule is one line of a policy: a name or pattern, and the words after the colon.
type rule struct {
	name  string
	words []string
}

func rules(text string) []rule {
	var rs []rule
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		rs = append(rs, rule{strings.TrimSpace(name), strings.Fields(rest)})
	}
	return rs
}

// fits says whether the package path lies in pattern.
func fits(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

func find(rs []rule, path string) (rule, bool) {
	i := slices.IndexFunc(rs, func(r rule) bool { return fits(r.name, path) })
	if i < 0 {
		return rule{}, false
	}
	return rs[i], true
}

// packages asks the go command what each package of the module imports, files of all build tags we use included.
func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	all := map[string]goPackage{}
	for _, tags := range []string{"", "pvgate_lenient"} {
		cmd := exec.Command("go", "list", "-pgo=off", "-tags", tags, "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
			var p goPackage
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("go list: %v", err)
			}
			path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
			old := all[path]
			p.Imports = append(p.Imports, old.Imports...)
			p.TestImports = append(p.TestImports, old.TestImports...)
			p.XTestImports = append(p.XTestImports, old.XTestImports...)
			all[path] = p
		}
	}
	return all
}

// ours returns the imports of this module, without the module's name, each once and sorted.
func ours(imports []string) []string {
	var own []string
	for _, i := range imports {
		if path, ok := strings.CutPrefix(i, module+"/"); ok {
			own = append(own, path)
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	all := packages(t)
	policy, testPolicy := rules(direction), rules(directionOfTests)
	for path, p := range all {
		r, ok := find(policy, path)
		if !ok {
			t.Errorf("%s: no line in the direction policy; say there what it may import", path)
			continue
		}
		allowed := func(i string) bool {
			return slices.ContainsFunc(r.words, func(w string) bool { return fits(w, i) })
		}
		for _, i := range ours(p.Imports) {
			if !allowed(i) {
				t.Errorf("%s imports %s; it may import only: %s", path, i, strings.Join(r.words, " "))
			}
		}
		tr, _ := find(testPolicy, path)
		for _, i := range ours(append(p.TestImports, p.XTestImports...)) {
			if i != path && !allowed(i) && !slices.ContainsFunc(tr.words, func(w string) bool { return fits(w, i) }) {
				t.Errorf("a test of %s imports %s; it may import only: %s", path, i, strings.Join(tr.words, " "))
			}
		}
	}
	for _, text := range []string{direction, directionOfTests, outside} {
		for _, r := range rules(text) {
			names := r.words
			if text != outside {
				names = append([]string{r.name}, names...)
			}
			for _, name := range names {
				name = strings.TrimPrefix(name, "!")
				if name != "-" && !anyFits(name, all) {
					t.Errorf("the policy names %s, which is no package any more; mend the policy", name)
				}
			}
		}
	}
}

func anyFits(pattern string, all map[string]goPackage) bool {
	for path := range all {
		if fits(pattern, path) {
			return true
		}
	}
	return false
}

func TestForeignImportsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	for path, p := range packages(t) {
		for _, r := range rules(outside) {
			if !slices.Contains(p.Imports, r.name) {
				continue
			}
			named, refuses := false, false
			for _, w := range r.words {
				pattern, not := strings.CutPrefix(w, "!")
				refuses = refuses || not
				named = named || fits(pattern, path)
			}
			if named == refuses {
				t.Errorf("%s imports %s, against the policy %q", path, r.name, r.name+": "+strings.Join(r.words, " "))
			}
		}
	}
}

// The naive resolver is the oracle of the compiled table, so it must not share a line with it.
func TestTheOracleKnowsNothingButTheRegistry(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../routing/oracle*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no oracle in routing: %v", err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok && own != "registry" {
				t.Errorf("%s imports %s; it may import only: registry", file, own)
			}
		}
	}
}

// RS-09: nothing that a request passes has a regular expression, whose cost could depend on more than a length.
func TestRS09NoRegularExpressionOnTheWayOfARequest(t *testing.T) {
	t.Parallel()
	all := packages(t)
	todo := []string{"gateway", "gateway/surface"} // surface is what a snapshot brings in
	seen := map[string]bool{}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		for _, imported := range all[path].Imports {
			if imported == "regexp" || imported == "regexp/syntax" {
				t.Errorf("%s imports %s", path, imported)
			}
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				todo = append(todo, own)
			}
		}
	}
	for _, must := range []string{"gateway/http1", "gateway/exchange", "gateway/header", "gateway/message", "routing", "registry"} {
		if !seen[must] {
			t.Errorf("%s was not looked at", must)
		}
	}
}
