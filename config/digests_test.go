// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A large file's digest is that of its content, however it came there: written over, renamed over, or written with the size and
// the time of before.
func TestDigestsOfLargeFilesFollowTheirContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "large")
	text := bytes.Repeat([]byte("a"), largeFile)
	long := time.Now().Add(-time.Hour)
	put := func(name string, first byte) {
		t.Helper()
		text[0] = first
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	var kept Digests
	seen := map[Hash]string{}
	same := func(what string) {
		t.Helper()
		got, err := kept.Of([]string{file})
		want, _ := new(Digests).Of([]string{file})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s: the same as %s", what, other)
		}
		seen[got] = what
	}
	put(file, 'b')
	same("at first")
	if len(kept.large) != 1 {
		t.Fatal("nothing was remembered")
	}
	put(file, 'c')
	same("written in place, with its old time")
	put(file+".new", 'd')
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	same("renamed over")
	text[0] = 'e'
	if err := os.WriteFile(file, text, 0o600); err != nil { // just now: what is written in the same tick would not show
		t.Fatal(err)
	}
	same("written just now")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	same("gone")
}

// What is remembered is not read again.
func TestDigestsReadALargeFileOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, largeFile), 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	var kept Digests
	if _, err := kept.Of([]string{file}); err != nil {
		t.Fatal(err)
	}
	known := kept.large[file]
	known.sum[0]++
	kept.large[file] = known
	got, err := kept.Of([]string{file})
	if want, _ := new(Digests).Of([]string{file}); err != nil || got == want {
		t.Errorf("%v, %v: the file was read again", got, err)
	}
}
