// SPDX-License-Identifier: EUPL-1.2

package keyring_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pvgate/pvgate/gateway/keyring"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func line(n byte) string {
	k := make([]byte, keyring.Size)
	k[0] = n
	return hex.EncodeToString(k)
}

func TestKeysKeepTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Read(write(t, "# rotated on Monday\n"+line(2)+" # of Sunday\n\n  "+line(1)+"\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0][0] != 2 || keys[1][0] != 1 {
		t.Errorf("keys %v; want the second, then the first", keys)
	}
}

func TestBadKeyFilesAreRefusedWithoutTellingKeys(t *testing.T) {
	t.Parallel()
	many := ""
	for n := range byte(keyring.MaxKeys + 1) {
		many += line(n+1) + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "holds no key"},
		"comments":  {"# nothing\n\n", "holds no key"},
		"words":     {line(1) + "\nsecret!\n", "line 2 is not hexadecimal"},
		"short":     {hex.EncodeToString([]byte("secret")), "line 1 has 6 bytes, not 32"},
		"zeros":     {hex.EncodeToString(make([]byte, 32)), "line 1 is no random key"},
		"twice":     {line(1) + "\n" + line(1), "line 2 repeats a key"},
		"too many":  {many, "line 17 is one key too many"},
		"too large": {strings.Repeat("#\n", 1<<16), "is larger than 64 KiB"},
	} {
		_, err := keyring.Read(write(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message tells what stands in the file: %v", name, err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{t.TempDir(), pipe, "/dev/zero"} {
		if _, err := keyring.Read(name); err == nil || !strings.Contains(err.Error(), "is no regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keyring.Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that does not exist was read")
	}
}

func TestExposedFilesAreSeen(t *testing.T) {
	t.Parallel()
	name := write(t, line(1))
	if keyring.Exposed(name) {
		t.Error("mode 600 is exposed")
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if !keyring.Exposed(name) {
		t.Error("mode 644 is not exposed")
	}
}
