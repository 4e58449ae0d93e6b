// SPDX-License-Identifier: EUPL-1.2

// Package keyring reads files of rotating keys that processes and nodes share.
//
// The calls to know are [Read], and [File] for other files of secrets. A file of keys has one key a line, 32 random bytes as 64 hexadecimal digits, the newest first: the
// first key makes what is new, all of them open what is already out. Empty lines and what follows a # do not count.
//
// It deliberately makes no keys and changes no files: whoever hands the same file to all nodes rotates it.
package keyring

import (
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
	data, err := File(name, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

// File returns a whole file of at most most bytes. Its errors do not name the file: whoever configured it is named.
func File(name string, most int64) ([]byte, error) {
	st, err := os.Stat(name) // before it is opened: who opens a pipe waits for a writer
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("is no regular file; only files can be read")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	case int64(len(data)) > most:
		return nil, fmt.Errorf("is larger than %d KiB", most>>10)
	}
	return data, nil
}

// cause is the reason of a failed file operation without the path.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func parse(data []byte) ([]Key, error) {
	var keys []Key
	n := 0
	for line := range bytes.Lines(data) {
		n++
		line, _, _ := bytes.Cut(line, []byte("#"))
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
