// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// The file of answers is lines of JSON: a head, the answers, those last asked for first, and the checksum of all that is
// before it. It says nothing of who asked.

// keptVersion changes with the form of the file; there are no readers of older ones, for all is asked for again.
const keptVersion = 1

// keptHead is the file's first line.
type keptHead struct {
	Version int
	Source  string
	Digest  string
}

// keptAnswer is a line for a key.
type keptAnswer struct {
	Key    Key
	Answer *Answer
}

// sumPrefix begins the last line, which has sumBytes.
const (
	sumPrefix = "sha256 "
	sumBytes  = len(sumPrefix) + 2*sha256.Size + 1
)

// keep saves now and then.
func (c *Cache) keep() {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.save()
		case <-c.closing:
			return
		}
	}
}

// save writes the file anew.
func (c *Cache) save() {
	if c.options.File == "" {
		return
	}
	if err := source.Replace(c.options.File, c.appendKept(nil)); err != nil {
		c.options.Log.Warn("look-ups are not kept for the next start", "error", err)
	}
}

// appendKept appends the file, of at most Options.Bytes.
func (c *Cache) appendKept(b []byte) []byte {
	head, err := json.Marshal(keptHead{keptVersion, c.options.Source.Name(), c.options.Digest})
	if err != nil { // texts are always good
		panic(err)
	}
	b = append(append(b, head...), '\n')
	byShard := make([][]*slot, len(c.shards))
	longest := 0
	for i := range c.shards {
		byShard[i] = c.shards[i].newest()
		longest = max(longest, len(byShard[i]))
	}
	room := int(c.options.Bytes) - sumBytes
	for i := range longest {
		for _, slots := range byShard {
			if i >= len(slots) {
				continue
			}
			v := slots[i] // its key and answer never change
			text, err := json.Marshal(keptAnswer{v.key, v.answer})
			if err != nil { // a year beyond 9999: that answer is asked for again
				continue
			}
			if len(b)+len(text)+1 > room {
				return appendSum(b)
			}
			b = append(append(b, text...), '\n')
		}
	}
	return appendSum(b)
}

func appendSum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sumPrefix+hex.EncodeToString(sum[:])+"\n"...)
}

// load brings back what an earlier life has kept.
func (c *Cache) load() {
	if c.options.File == "" {
		return
	}
	n, err := c.read(c.options.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		c.options.Log.Warn("kept look-ups are not used", "error", err)
	default:
		c.options.Log.Info("kept look-ups are used", "answers", n)
	}
}

// read puts the answers of a file into the cache, or none of them, and says how many they were.
func (c *Cache) read(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, c.options.Bytes+1))
	if err != nil {
		return 0, err
	}
	kept, err := c.parse(b)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	now := c.options.Now()
	for _, k := range slices.Backward(kept) { // so the one last asked for is so again
		if c.check(k.Key, k.Answer) != nil { // the limits have changed
			continue
		}
		ttl := c.ttl(k.Answer)
		if k.Answer.At.After(now) { // the clock was wrong, then or now: its time is over
			k.Answer.At = now.Add(-2 * ttl)
		}
		s := c.shard(k.Key)
		s.mu.Lock()
		s.put(k.Key, k.Answer, ttl)
		s.mu.Unlock()
	}
	return len(kept), nil
}

// parse reads a file that is whole and ours.
func (c *Cache) parse(b []byte) (kept []keptAnswer, err error) {
	body := b[:max(len(b)-sumBytes, 0)]
	if !bytes.Equal(appendSum(slices.Clone(body)), b) {
		return nil, errors.New("it is damaged, or more than is allowed")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	var head keptHead
	if err := dec.Decode(&head); err != nil {
		return nil, err
	}
	if head != (keptHead{keptVersion, c.options.Source.Name(), c.options.Digest}) {
		return nil, errors.New("it is of another version or source, or the source had other settings")
	}
	for dec.More() {
		var k keptAnswer
		if err := dec.Decode(&k); err != nil {
			return nil, err
		}
		if k.Answer != nil {
			kept = append(kept, k)
		}
	}
	return kept, nil
}
