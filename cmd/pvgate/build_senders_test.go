// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysOfSenders(t *testing.T) {
	t.Parallel()
	const key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	for name, tt := range map[string]struct {
		file string
		mode os.FileMode
		ok   bool
		want string
	}{
		"two":         {"# new\n" + key + strings.Replace(key, "00", "ff", 1), 0o600, true, ""},
		"none":        {"", 0o600, false, "pvgate.yaml:2:35: keys \"bund.keys\": holds no key"},
		"three":       {key + strings.Replace(key, "00", "ff", 1) + strings.Replace(key, "00", "fe", 1), 0o600, false, "pvgate.yaml:2:35: keys \"bund.keys\": holds 3 keys"},
		"absent":      {"-", 0, false, "pvgate.yaml:2:35: keys \"bund.keys\": cannot be read: no such file"},
		"everybody's": {key, 0o644, true, "pvgate.yaml:2:35: warning: keys \"bund.keys\" can be read by everybody"},
	} {
		dir := t.TempDir()
		write := func(file, text string, mode os.FileMode) {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		write(defaultConfig, "senders:\n  bund: {area: \"00\", hmac: {keys: bund.keys}}\n", 0o600)
		if tt.file != "-" {
			write("bund.keys", tt.file, tt.mode)
		}
		r, report := checkAt(t, dir)
		if r.OK != tt.ok || !strings.Contains(report, tt.want) || tt.want == "" && report != "" {
			t.Errorf("%s: ok %v\n%s", name, r.OK, report)
		}
	}
}
