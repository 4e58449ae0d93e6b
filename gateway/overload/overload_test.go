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
		if got := w.Observe(func() uint64 { return tt.used }); got != tt.want || w.Level() != tt.want {
			t.Errorf("%d of 1000: %v, want %v", tt.used, got, tt.want)
		}
	}
	if w.Limit(0); w.Observe(func() uint64 { return 1 << 62 }) != Calm {
		t.Error("without a budget there is no pressure")
	}
}

func TestWhatIsAddedCountsUntilSomebodyLooks(t *testing.T) {
	t.Parallel()
	var w Watch
	w.Limit(1000)
	w.Observe(func() uint64 { return 700 })
	for _, want := range []Level{Calm, Pressed, Pressed, Full} { // 770, 850, 910, 970
		w.Add(70)
		w.Add(int(want) * 10 % 20)
		if got := w.Level(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	got := w.Observe(func() uint64 {
		w.Add(60) // while it looks
		return 800
	})
	if got != Pressed {
		t.Errorf("with 800 seen and 60 added meanwhile: %v, want pressed", got)
	}
	if got := w.Observe(func() uint64 { return 790 }); got != Calm {
		t.Errorf("what was added before the look counts still: %v", got)
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
	Collect(1 << 30)
	if got, most := debug.SetMemoryLimit(-1), int64(1<<30)/100*75; got >= most || got < most-100<<20 {
		t.Errorf("the collector begins at %d, want %d without what is in memory of the file", got, most)
	}
	if Collect(4 << 20); debug.SetMemoryLimit(-1) != 1<<20 {
		t.Error("with a small budget nothing is left to the program")
	}
	if Used() == 0 {
		t.Error("nothing is used")
	}
}
