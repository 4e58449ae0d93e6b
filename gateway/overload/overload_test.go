// SPDX-License-Identifier: EUPL-1.2

package overload

import (
	"runtime/debug"
	"testing"
)

func TestLevelsEndBelowWhereTheyBegin(t *testing.T) {
	t.Parallel()
	var w Watch
	w.Limit(1000)
	for _, tt := range []struct {
		used uint64
		want Level
	}{
		{0, Calm},
		{849, Calm},
		{850, Pressed},
		{949, Pressed},
		{800, Pressed},
		{799, Calm},
		{840, Calm},
		{950, Full},
		{900, Full},
		{899, Pressed},
		{940, Pressed},
		{2000, Full},
		{790, Calm},
	} {
		if got := w.Observe(tt.used); got != tt.want || w.Level() != tt.want {
			t.Errorf("%d of 1000: %v, want %v", tt.used, got, tt.want)
		}
	}
	if w.Limit(0); w.Observe(1<<62) != Calm {
		t.Error("without a budget there is no pressure")
	}
}

func TestTheLeastGroupCounts(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"/a/memory.max": "max\n", "/a/b/memory.max": "500\n", "/memory.max": "700\n",
		"memory/x/memory.limit_in_bytes": "9223372036854771712\n", "memory/x/y/memory.limit_in_bytes": "400\n",
	}
	read := func(file string) string { return files[file] }
	for lines, want := range map[string]uint64{
		"0::/a/b\n": 500, "0::/a\n": 700, "4:memory:/x/y\n3:cpu:/\n0::/\n": 400, "4:memory:/x\n": unlimited, "": unlimited, "nonsense\n": unlimited,
	} {
		if got := ofGroups(lines, read); got != want {
			t.Errorf("%q: %d, want %d", lines, got, want)
		}
	}
}

func TestTheBudgetIsTheLeastOfAll(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(1 << 20)
	if got := Budget(2 << 20); got != 1<<20 {
		t.Errorf("%d, want what GOMEMLIMIT says", got)
	}
	if got := Budget(1 << 19); got != 1<<19 {
		t.Errorf("%d, want what is configured", got)
	}
	if Collect(1 << 30); debug.SetMemoryLimit(-1) != (1<<30)/100*75 {
		t.Error("the collector does not know")
	}
	if Used() == 0 {
		t.Error("nothing is used")
	}
}
