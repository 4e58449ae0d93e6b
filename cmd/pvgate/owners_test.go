// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/signing"
)

// TestSignaturesOfFoldersAreJudged goes through what may be wrong with who signed a folder; testdata/script/ownership.txtar
// has what may be wrong with the folder.
func TestSignaturesOfFoldersAreJudged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	hessen, marburg, stranger := newKey(t), newKey(t), newKey(t)
	both := hessen.Public().Line("hessen") + "\n"
	for name, c := range map[string]struct {
		hessen, marburg string // their files of keys
		signers         []*signing.Private
		want            string // of the only error; "" for none
	}{
		"its owner":               {both, marburg.Public().Line("m"), []*signing.Private{hessen}, ""},
		"an owner and a stranger": {both, marburg.Public().Line("m"), []*signing.Private{stranger, hessen}, ""},
		"the next key": {
			both + hessen.Public().Line("again"), marburg.Public().Line("m"),
			[]*signing.Private{hessen},
			"keys of owner hessen",
		},
		"a stranger":     {both, marburg.Public().Line("m"), []*signing.Private{stranger}, "signed by " + stranger.Public().ID() + ", which is no owner's key; an owner signs the folder by pvgate config sign routes.d/06 --key KEY (owners: hessen, marburg)"},
		"nobody":         {both, marburg.Public().Line("m"), nil, "it bears no signature; "},
		"both owners":    {both, marburg.Public().Line("m"), []*signing.Private{hessen, marburg}, "owner hessen and owner marburg have both signed it; a folder has one owner"},
		"an ended key":   {hessen.Public().Line("hessen") + " until 2026-11-21", marburg.Public().Line("m"), []*signing.Private{hessen}, `owner hessen: key "hessen": the key is trusted no more, since 2026-11-22 00:00:00; `},
		"its last day":   {hessen.Public().Line("hessen") + " until 2026-11-22", marburg.Public().Line("m"), []*signing.Private{hessen}, ""},
		"one key of two": {both, hessen.Public().Line("m"), []*signing.Private{stranger}, `key "m" of owner marburg is owner hessen's too; each owner signs with keys of its own`},
		"no keys":        {"\n", marburg.Public().Line("m"), []*signing.Private{marburg}, "keys of owner hessen: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range map[string]string{
				"hessen.keys": c.hessen, "marburg.keys": c.marburg, "routes.d/06/06.yaml": "area: \"06\"\n",
				"pvgate.yaml": "ownership: {required: true, owners: {hessen: {area: \"06\", keys: hessen.keys}, marburg: {area: \"065340014014\", keys: marburg.keys}}}\n",
			} {
				file = filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			files, err := config.FolderFiles(filepath.Join(dir, "routes.d/06"))
			if err != nil {
				t.Fatal(err)
			}
			m := signing.Manifest{Created: now, Files: map[string]signing.Digest{"06.yaml": signing.Digest(files["06.yaml"])}}
			text, err := m.Seal(c.signers...)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "routes.d/06/SIGNATURE"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = config.Load(filepath.Join(dir, "pvgate.yaml"), config.Options{Owner: (&judge{now: now}).owner})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func newKey(t *testing.T) *signing.Private {
	t.Helper()
	k, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
