// SPDX-License-Identifier: EUPL-1.2

// Package keyring reads files of rotating keys that processes and nodes share.
//
// The call to know is [Read]. A file has one key a line, 32 random bytes as 64 hexadecimal digits, the newest first: the
// first key makes what is new, all of them open what is already out. Empty lines and what follows a # do not count.
//
// It deliberately makes no keys and changes no files: whoever hands the same file to all nodes rotates it.
package keyring

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Size is the size of a [Key] in bytes.
const Size = 32

// MaxKeys bounds the keys of one file.
const MaxKeys = 16

// maxFile is far above MaxKeys lines with a comment each.
const maxFile = 64 << 10

// Key is one key of a file.
type Key [Size]byte

// Read returns the keys of a file in its order, at least one. Its errors name lines, never the file nor what stands there.
func Read(name string) ([]Key, error) {
	f, err := os.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the caller names the file
		}
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.New("is no regular file; only files can be read")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("is larger than %d KiB; a file of keys has one key a line", maxFile>>10)
	}
	return parse(data)
}

func parse(data []byte) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		raw, err := hex.DecodeString(string(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d is not hexadecimal; write keys made by openssl rand -hex %d", n, Size)
		case len(raw) != Size:
			return nil, fmt.Errorf("line %d has %d bytes, not %d; write keys made by openssl rand -hex %d", n, len(raw), Size, Size)
		case bytes.Count(raw, raw[:1]) == Size:
			return nil, fmt.Errorf("line %d is no random key; write keys made by openssl rand -hex %d", n, Size)
		case slices.Contains(keys, Key(raw)):
			return nil, fmt.Errorf("line %d repeats a key; remove it", n)
		case len(keys) == MaxKeys:
			return nil, fmt.Errorf("line %d is one key too many; keep the newest %d", n, MaxKeys)
		}
		keys = append(keys, Key(raw))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("holds no key; write one a line, made by openssl rand -hex %d", Size)
	}
	return keys, nil
}

// Exposed reports whether everybody on the machine may read a file. What cannot be asked is not: reading it fails too.
func Exposed(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().Perm()&0o004 != 0 && st.Mode()&fs.ModeType == 0
}
