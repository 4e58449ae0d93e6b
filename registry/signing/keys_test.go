// SPDX-License-Identifier: EUPL-1.2

package signing_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry/signing"
)

func generate(t *testing.T) *signing.Private {
	t.Helper()
	key, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bund.keys")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOneSignatureThatCountsIsEnough(t *testing.T) {
	t.Parallel()
	message := []byte("content")
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	a, b, c := generate(t), generate(t), generate(t)
	keys, err := signing.NewKeys(
		signing.Named{Name: "b", Trusted: signing.Trusted{Key: b.Public(), Until: now}},
		signing.Named{Name: "a", Trusted: signing.Trusted{Key: a.Public()}},
	)
	if err != nil {
		t.Fatal(err)
	}
	forged := a.Sealed(message)
	forged.Bytes[7] ^= 1
	borrowed := c.Sealed(message)
	borrowed.Key = a.Public().ID()
	for name, tc := range map[string]struct {
		sigs []signing.Signature
		at   time.Time
		want error
		key  string
	}{
		"none":                        {nil, now, signing.ErrUnsigned, ""},
		"trusted":                     {[]signing.Signature{a.Sealed(message)}, now, nil, "a"},
		"unknown":                     {[]signing.Signature{c.Sealed(message)}, now, signing.ErrUnknownKey, ""},
		"forged":                      {[]signing.Signature{forged}, now, signing.ErrBroken, ""},
		"under another's name":        {[]signing.Signature{borrowed}, now, signing.ErrBroken, ""},
		"of other content":            {[]signing.Signature{a.Sealed([]byte("other"))}, now, signing.ErrBroken, ""},
		"retired":                     {[]signing.Signature{b.Sealed(message)}, now, signing.ErrRetired, ""},
		"not yet retired":             {[]signing.Signature{b.Sealed(message)}, now.Add(-time.Second), nil, "b"},
		"unknown beside trusted":      {[]signing.Signature{c.Sealed(message), a.Sealed(message)}, now, nil, "a"},
		"retired beside trusted":      {[]signing.Signature{b.Sealed(message), a.Sealed(message)}, now, nil, "a"},
		"forged beside trusted":       {[]signing.Signature{forged, b.Sealed(message)}, now.Add(-time.Second), nil, "b"},
		"unknown, retired and forged": {[]signing.Signature{c.Sealed(message), b.Sealed(message), forged}, now, signing.ErrBroken, ""},
	} {
		k, err := keys.Verify(message, tc.sigs, tc.at)
		if !errors.Is(err, tc.want) || k.Name != tc.key {
			t.Errorf("%s: key %q, error %v; want %q, %v", name, k.Name, err, tc.key, tc.want)
		}
	}
	if _, err := (signing.Keys{}).Verify(message, []signing.Signature{a.Sealed(message)}, now); !errors.Is(err, signing.ErrUnknownKey) {
		t.Errorf("no keys at all: %v", err)
	}
}

func TestKeysAreReadFromLines(t *testing.T) {
	t.Parallel()
	a, b := generate(t).Public(), generate(t).Public()
	ks, err := signing.ReadKeys(write(t, "# who may publish\n\n"+b.Line("bund-2027")+"\n"+a.Line("bund-2026")+" until 2027-06-30 # leaves\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := ks.All()
	if len(all) != 2 || all[0].Name != "bund-2026" || all[0].Key != a || all[1].Name != "bund-2027" || !all[1].Until.IsZero() {
		t.Fatalf("keys: %+v", all)
	}
	if want := time.Date(2027, 6, 30, 22, 0, 0, 0, time.UTC); !all[0].Until.Equal(want) {
		t.Errorf("until 2027-06-30 is %v, want the end of that day in Berlin, %v", all[0].Until, want)
	}
	if k, ok := ks.Find(b.ID()); !ok || k.Name != "bund-2027" {
		t.Errorf("found %+v, %v", k, ok)
	}
}

func TestBadFilesOfKeysAreRefusedWithTheirLine(t *testing.T) {
	t.Parallel()
	key := generate(t)
	line := key.Public().Line("a")
	var many strings.Builder
	for i := range signing.MaxKeys + 1 {
		fmt.Fprintln(&many, generate(t).Public().Line(fmt.Sprint(i)))
	}
	for name, tc := range map[string]struct{ text, want string }{
		"empty":            {"", ":1: no keys"},
		"comments only":    {"# nothing\n", ":1: no keys"},
		"a name alone":     {"\na\n", ":2: want a name"},
		"no base64":        {"a ???\n", `:1: key "a" is no base64`},
		"another key":      {"a MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n", `:1: key "a": the public key cannot be read`},
		"bad day":          {line + " until tomorrow\n", `:1: key "a": until: time "tomorrow"`},
		"half an until":    {line + " until\n", ":1: want a name"},
		"twice the name":   {line + "\n" + generate(t).Public().Line("a") + "\n", `two keys are called "a"`},
		"twice the key":    {line + "\n" + key.Public().Line("b") + "\n", "are the same key"},
		"a private key":    {string(key.PEM()), "the file holds a PRIVATE KEY"},
		"too many":         {many.String(), "more than 256 keys"},
		"key of 31 octets": {"a AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n", "cannot be read"},
	} {
		if _, err := signing.ReadKeys(write(t, tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v; want %q", name, err, tc.want)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := signing.ReadKeys(pipe); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a pipe: %v", err)
	}
}

// The keys of most installations are made by openssl, and what we make is for it too.
func TestKeysPassBetweenOpensslAndUs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	theirs, ours, public := filepath.Join(dir, "their.key"), filepath.Join(dir, "our.key"), filepath.Join(dir, "bund.pem")
	own := generate(t)
	if err := os.WriteFile(ours, own.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	openssl("genpkey", "-algorithm", "ed25519", "-out", theirs)
	for _, file := range []string{ours, theirs} {
		openssl("pkey", "-in", file, "-pubout", "-out", public)
		key, err := signing.ReadPrivate(file)
		if err != nil {
			t.Fatal(err)
		}
		ks, err := signing.ReadKeys(public)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ks.Verify([]byte("x"), []signing.Signature{key.Sealed([]byte("x"))}, time.Time{})
		if err != nil || k.Name != "bund" {
			t.Errorf("%s: key %q, error %v; want bund", file, k.Name, err)
		}
	}
}
