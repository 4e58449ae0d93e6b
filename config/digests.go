// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// largeFile is from where on a file's digest is worth remembering: a registry of ten million entries takes 0.2 s.
	largeFile = 1 << 20
	// coarseTime is how far apart two changes of a file may be and have the same time: a tick of the slowest kernel.
	coarseTime = 20 * time.Millisecond
)

// Digests takes digests over files, and remembers that of a large file for as long as nobody writes to it or puts another in
// its place. The zero value is ready. Safe for concurrent use.
type Digests struct {
	mu    sync.Mutex // held while a large file is read: who else asks for it waits
	large map[string]rememberedDigest
}

type rememberedDigest struct {
	state fileState
	sum   [sha256.Size]byte
}

// fileState changes with a file's content.
type fileState struct {
	dev, ino          uint64
	size              int64
	modified, changed syscall.Timespec
}

// Of is the digest over files as they are now; one that is missing, or is no
// regular file, counts as such and is no error.
func (d *Digests) Of(files []string) (Hash, error) {
	sum := sha256.New()
	var out Hash
	for _, name := range files {
		st, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() { // a pipe may have no end
			addDigest(sum, name, nil)
			continue
		}
		var one [sha256.Size]byte
		if err == nil && st.Size() < largeFile {
			one, err = digestFile(name)
		} else if err == nil {
			one, err = d.ofLarge(name)
		}
		if err != nil {
			return out, fmt.Errorf("digest of the configuration: %w", err)
		}
		addDigest(sum, name, one[:])
	}
	sum.Sum(out[:0])
	return out, nil
}

func (d *Digests) ofLarge(name string) (sum [sha256.Size]byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, err := os.Stat(name)
	if err != nil {
		return sum, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return digestFile(name)
	}
	state := fileState{uint64(sys.Dev), sys.Ino, sys.Size, sys.Mtim, sys.Ctim} //nolint:unconvert // not on every architecture
	if known, ok := d.large[name]; ok && known.state == state {
		return known.sum, nil
	}
	settled := time.Since(st.ModTime()) > coarseTime // else what is written next may not show
	if sum, err = digestFile(name); err != nil {
		return sum, err
	}
	delete(d.large, name)
	if settled {
		if len(d.large) >= maxRemembered || d.large == nil {
			d.large = map[string]rememberedDigest{}
		}
		d.large[name] = rememberedDigest{state, sum}
	}
	return sum, nil
}

// maxRemembered is more large files than a configuration names; names of former ones are forgotten with the others.
const maxRemembered = 256

func digestFile(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	h.Sum(sum[:0])
	return sum, err
}
