// SPDX-License-Identifier: EUPL-1.2

// Package overload says how near the process is to the memory that it may use.
//
// The calls to know: [Budget] for how much that is, [Watch.Observe] now and then, beside the loops, [Watch.Add] for what
// has been taken since, and [Watch.Level], which costs a request one load.
//
// It deliberately does nothing about it: who closes and who refuses is the business of those who hold memory.
package overload

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
)

// Level is how near it is.
type Level int32

// The levels.
const (
	Calm    Level = iota
	Pressed       // idle connections are closed, and no new ones taken
	Full          // requests are refused
)

// A level begins at one part of the budget, in hundredths, and ends at another: else it would come and go with every
// collection.
const (
	pressedFrom, pressedUntil = 85, 80
	fullFrom, fullUntil       = 95, 90
	// collect is where the collector begins to work against garbage: what is above is in use.
	collect = 75
)

// Watch knows the level. The zero value has no budget, and is Calm for ever. Level and Add are safe for concurrent use.
type Watch struct {
	budget uint64
	level  atomic.Int32
	// seen is what the last look found, added what was added since it began, both octets.
	seen, added atomic.Uint64
}

// Limit sets the budget in octets, 0 for none. To be called before anything else.
func (w *Watch) Limit(budget uint64) { w.budget = budget }

// Level returns what Observe found last.
func (w *Watch) Level() Level { return Level(w.level.Load()) }

// Observe takes how much is used, in octets, by looking. What is added while it looks counts twice until the next time.
func (w *Watch) Observe(look func() uint64) Level {
	if w.budget == 0 {
		return Calm
	}
	before := w.added.Load()
	used := look()
	w.seen.Store(used)
	used += w.added.Add(-before)
	was := Level(w.level.Load())
	level := w.levelOf(used)
	switch {
	case was == Full && level < Full && w.part(used, fullUntil):
		level = Full
	case was > Calm && level == Calm && w.part(used, pressedUntil):
		level = Pressed
	}
	w.level.Store(int32(level))
	return level
}

// Add says that so many octets more are used since the last look: on a busy machine the next comes late, and a loop takes
// megabytes in a millisecond. It can only raise the level.
func (w *Watch) Add(octets int) {
	if w.budget == 0 {
		return
	}
	level := int32(w.levelOf(w.seen.Load() + w.added.Add(uint64(octets))))
	for was := w.level.Load(); was < level && !w.level.CompareAndSwap(was, level); was = w.level.Load() {
	}
}

func (w *Watch) part(used, hundredths uint64) bool { return used >= w.budget/100*hundredths }

func (w *Watch) levelOf(used uint64) Level {
	switch {
	case w.part(used, fullFrom):
		return Full
	case w.part(used, pressedFrom):
		return Pressed
	}
	return Calm
}

// Used is how many octets the process has of the kernel: what the program has taken and not given back, and what is in
// memory of its file.
func Used() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64() + ofFile()
}

// ofFile is what is in memory of the program's file, octets; 0 if the kernel does not say.
func ofFile() uint64 {
	b, _ := os.ReadFile("/proc/self/statm") // proc(5): size, resident, shared, …, in pages
	fields := strings.Fields(string(b))
	if len(fields) < 3 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[2], 10, 32)
	return pages * uint64(os.Getpagesize())
}

// Collect tells the collector about a budget, so that garbage alone never comes near it.
func Collect(budget uint64) {
	if budget > 0 {
		most := budget / 100 * collect
		debug.SetMemoryLimit(int64(max(most-min(ofFile(), most), budget/4))) // it counts what is the program's only
	}
}

// Budget is the least of what is configured (0: nothing), what GOMEMLIMIT says, and what the control groups of the process
// allow it; 0 if nothing does.
func Budget(configured uint64) uint64 {
	least := uint64(math.MaxInt64)
	if configured > 0 {
		least = configured
	}
	if n := debug.SetMemoryLimit(-1); n > 0 {
		least = min(least, uint64(n))
	}
	groups, _ := os.ReadFile("/proc/self/cgroup") // without it there are none
	least = min(least, ofGroups(string(groups), func(file string) string {
		b, _ := os.ReadFile(path.Join("/sys/fs/cgroup", file)) // absent where the group has no limit of its own
		return string(b)
	}))
	if least >= unlimited {
		return 0
	}
	return least
}

// unlimited is what is no limit: version 1 of control groups says so by a number near the largest.
const unlimited = 1 << 60

// ofGroups finds the least limit of the process's control groups, which it has by those above them, too. Lines are those of
// /proc/self/cgroup (cgroups(7)).
func ofGroups(lines string, read func(file string) string) uint64 {
	least := uint64(unlimited)
	for line := range strings.Lines(lines) {
		hierarchy, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		var root, file string
		switch {
		case !ok:
			continue
		case hierarchy == "0" && controllers == "":
			file = "memory.max"
		case controllers == "memory":
			root, file = "memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group = path.Join("/", group); ; group = path.Dir(group) {
			if n, err := strconv.ParseUint(strings.TrimSpace(read(path.Join(root, group, file))), 10, 64); err == nil && n > 0 {
				least = min(least, n)
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
