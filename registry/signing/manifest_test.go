// SPDX-License-Identifier: EUPL-1.2

package signing_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry/signing"
)

func manifest(t *testing.T) (signing.Manifest, *signing.Private, []byte) {
	t.Helper()
	key, err := signing.ParsePrivate([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	m := signing.Manifest{Created: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC), Files: map[string]signing.Digest{
		"06-hessen.yaml": sha256.Sum256([]byte("a")), "efa/ikfz mit Leerzeichen.csv": sha256.Sum256([]byte("b")),
	}}
	sealed, err := m.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return m, key, sealed
}

func TestManifestIsReadAsItWasSealed(t *testing.T) {
	t.Parallel()
	m, key, sealed := manifest(t)
	got, text, sigs, err := signing.ParseManifest(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, got); d != "" {
		t.Errorf("manifest (-want +got):\n%s", d)
	}
	if !bytes.HasPrefix(text, []byte("pvgate signed files 1\ncreated 2026-11-22T13:00:00Z\nsha256 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 06-hessen.yaml\n")) {
		t.Errorf("text:\n%s", text)
	}
	ks, err := signing.NewKeys(signing.Named{Name: "hessen", Trusted: signing.Trusted{Key: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ks.Verify(text, sigs, m.Created); err != nil {
		t.Error(err)
	}
}

// What differs in one octet is no manifest, or its signature does not verify.
func TestManifestWithAnyOctetChangedCountsForNothing(t *testing.T) {
	t.Parallel()
	_, key, sealed := manifest(t)
	ks, err := signing.NewKeys(signing.Named{Name: "hessen", Trusted: signing.Trusted{Key: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(sealed)
			bad[i] ^= flip
			_, text, sigs, err := signing.ParseManifest(bad)
			if err != nil {
				continue
			}
			if _, err := ks.Verify(text, sigs, time.Now()); err == nil {
				t.Errorf("octet %d changed by %#x, and it verifies", i, flip)
			}
		}
	}
	for i := range sealed {
		_, text, sigs, err := signing.ParseManifest(sealed[:i])
		if err != nil {
			continue
		}
		if _, err := ks.Verify(text, sigs, time.Now()); err == nil && i != len(sealed)-1 { // but for the last line's end
			t.Errorf("cut at %d of %d, and it verifies", i, len(sealed))
		}
	}
}

func TestWhatIsNoManifestIsSaid(t *testing.T) {
	t.Parallel()
	_, _, sealed := manifest(t)
	text := string(sealed)
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "1: the file is not whole"},
		"another version":  {strings.Replace(text, "files 1", "files 2", 1), "1: no line of a signature"},
		"no time":          {strings.Replace(text, "created 2026", "created heute 2026", 1), "2: "},
		"twice":            {strings.Replace(text, "sha256 3", "sha256 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 06-hessen.yaml\nsha256 3", 1), "4: no line of a signature"},
		"a way out":        {strings.Replace(text, " 06-hessen", " ../06-hessen", 1), "the file is not whole"},
		"upper-case hex":   {strings.Replace(text, "ca97", "CA97", 1), "the file is not whole"},
		"files afterwards": {text + "sha256 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb z.yaml\n", "no line of a signature"},
		"short signature":  {text + "signed 0123456789abcdef QUJD\n", "no Ed25519 signature"},
		"text afterwards":  {text + "\n", "no line of a signature"},
		"spaces":           {strings.Replace(text, "sha256 ca", "sha256  ca", 1), "3: no SHA-256"},
	} {
		if _, _, _, err := signing.ParseManifest([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, name := range []string{"", ".", "/etc/x.yaml", "a/../b.yaml", "a\nb.yaml", " a.yaml", "a//b.yaml"} {
		m := signing.Manifest{Files: map[string]signing.Digest{name: {}}}
		if _, err := m.Seal(); err == nil {
			t.Errorf("a file called %q was signed", name)
		}
	}
	if _, err := (&signing.Manifest{}).Seal(); err == nil {
		t.Error("no files were signed")
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte("pvgate signed files 1\ncreated 2026-11-22T13:00:00Z\nsha256 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb a.yaml\nsigned 0123456789abcdef QUJD\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, text, _, err := signing.ParseManifest(data)
		if err != nil {
			return
		}
		again, err := m.Text()
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("the text changes: %v\n%s\n%s", err, text, again)
		}
	})
}
