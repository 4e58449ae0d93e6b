// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startWatch watches a configuration until the test ends; each change makes one
// value in the channel.
func startWatch(t *testing.T, archive string, inputs func() []string) (dir string, changes <-chan struct{}) {
	t.Helper()
	dir, _ = unpack(t, txtar.Parse([]byte(archive)))
	w, err := NewWatcher(WatchOptions{Path: filepath.Join(dir, "pvgate.yaml"), Inputs: inputs, Quiet: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, func() { ch <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return dir, ch
}

func await(t *testing.T, changes <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: no change was told", what)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace is write in one step: a file is never seen half written, however slow the machine.
func replace(t *testing.T, file, text string) {
	t.Helper()
	write(t, file+".new", text)
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

const watched = "-- pvgate.yaml --\nloops: 1\n-- routes.d/06.yaml --\narea: \"06\"\n"

func TestWatcherSeesEachWayAFileChanges(t *testing.T) {
	t.Parallel()
	dir, changes := startWatch(t, watched, nil)
	route := filepath.Join(dir, "routes.d", "06.yaml")

	write(t, route, "area: \"06\" # in place\n")
	await(t, changes, "written in place")

	replace(t, route, "area: \"06\" # renamed\n")
	await(t, changes, "renamed over")

	write(t, filepath.Join(dir, "routes.d", "efa", "x", "new.yaml"), "area: \"01\"\n")
	await(t, changes, "new file in a new folder")

	write(t, filepath.Join(dir, "routes.d", "efa", "x", "new.yaml"), "area: \"02\"\n")
	await(t, changes, "file of the new folder written again")

	if err := os.Remove(route); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "removed")

	write(t, filepath.Join(dir, "pvgate.yaml"), "loops: 2\n")
	await(t, changes, "pvgate.yaml written")
}

func TestWatcherSeesASwappedLink(t *testing.T) {
	t.Parallel()
	dir, changes := startWatch(t, `
-- pvgate.yaml --
loops: 1
-- routes.d/..1/06.yaml --
area: "06"
-- routes.d/..2/06.yaml --
area: "07"
`, nil)
	routes := filepath.Join(dir, "routes.d")
	for _, l := range [][2]string{{"..1", "..data"}, {"..data/06.yaml", "06.yaml"}} {
		if err := os.Symlink(l[0], filepath.Join(routes, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	await(t, changes, "links made")
	if err := os.Symlink("..2", filepath.Join(routes, "..tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(routes, "..tmp"), filepath.Join(routes, "..data")); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "link swapped")
}

func TestWatcherSeesTheDataFilesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "rows.csv")
	write(t, data, "a\n")
	_, changes := startWatch(t, watched, func() []string { return []string{data} })
	write(t, data, "b\n")
	await(t, changes, "source written")
}

func TestWatcherPassesOverWhatChangesNothing(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	dir, changes := startWatch(t, watched, func() []string { asked.Add(1); return nil })
	before := asked.Load()
	route := filepath.Join(dir, "routes.d", "06.yaml")
	replace(t, route, "area: \"06\"\n")                      // the same again
	write(t, filepath.Join(dir, "routes.d", "notes"), "x\n") // none of ours
	// The inputs are asked for twice in each look at the files, so the look
	// that saw both has ended when the next one begins.
	for deadline := time.Now().Add(30 * time.Second); asked.Load() < before+2; {
		if time.Now().After(deadline) {
			t.Fatal("the watcher never looked")
		}
		time.Sleep(time.Millisecond)
	}
	replace(t, route, "area: \"07\"\n")
	await(t, changes, "a real change after the false ones")
	select {
	case <-changes:
		t.Error("two changes were told, want one")
	default:
	}
}

func TestWatcherSeesChangesThroughARelativePath(t *testing.T) {
	dir, _ := unpack(t, txtar.Parse([]byte(watched+"-- rows.csv --\na\n")))
	t.Chdir(dir)
	w, err := NewWatcher(WatchOptions{Path: "pvgate.yaml", Inputs: func() []string { return []string{"rows.csv"} }, Quiet: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes, done := make(chan struct{}, 100), make(chan error, 1)
	go func() { done <- w.Run(ctx, func() { changes <- struct{}{} }) }()
	for _, file := range []string{"pvgate.yaml", "rows.csv", "routes.d/06.yaml"} {
		write(t, file, "area: \"06\" # "+file+"\n")
		await(t, changes, file)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWatcherLooksOnlyWhenAFileOfItsOwnMayHaveChanged(t *testing.T) {
	t.Parallel()
	w := &Watcher{o: WatchOptions{Path: "conf/pvgate.yaml", Inputs: func() []string { return []string{"data/rows.csv", "conf/areas.yaml"} }}}
	for name, want := range map[string]bool{
		"conf/pvgate.yaml": true, "conf/areas.yaml": true, "data/rows.csv": true, "conf/..data": true, "data/..data": true,
		"conf/routes.d": true, "conf/routes.d/06.yaml": true, "conf/routes.d/efa/ikfz.csv": true,
		"conf/pvgate.log": false, "data/other.csv": false, "conf/routes.d.bak": false, "conf/.pvgate.yaml.swp": false,
	} {
		if got := w.matters(name); got != want {
			t.Errorf("matters(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestWatcherNeedsTheFolder(t *testing.T) {
	t.Parallel()
	if _, err := NewWatcher(WatchOptions{Path: filepath.Join(t.TempDir(), "none", "pvgate.yaml")}); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestAWatcherThatIsNotRunCloses(t *testing.T) {
	t.Parallel()
	dir, _ := unpack(t, txtar.Parse([]byte(watched)))
	w, err := NewWatcher(WatchOptions{Path: filepath.Join(dir, "pvgate.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil { // its goroutine is looked for when all tests have run
		t.Error(err)
	}
}

// A new configuration may name files in folders that nobody has watched so far: from Look on they are, and what was written
// since they were read is a change; what was not is none.
func TestWatcherFollowsFilesThatAreNamedLater(t *testing.T) {
	t.Parallel()
	dir, _ := unpack(t, txtar.Parse([]byte(watched)))
	first, second, third := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "c")
	var mu sync.Mutex // guards what stands below
	var names []string
	var loaded Hash
	load := func(file string) {
		mu.Lock()
		defer mu.Unlock()
		names = []string{file}
		loaded, _ = new(Digests).Of(names)
	}
	for _, f := range []string{first, second, third} {
		write(t, f, "1")
	}
	load(first)
	w, err := NewWatcher(WatchOptions{
		Path: filepath.Join(dir, "pvgate.yaml"), Quiet: 5 * time.Millisecond,
		Inputs: func() []string { mu.Lock(); defer mu.Unlock(); return names },
		Loaded: func() Hash { mu.Lock(); defer mu.Unlock(); return loaded },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes, done := make(chan struct{}, 100), make(chan error, 1)
	go func() { done <- w.Run(ctx, func() { changes <- struct{}{} }) }()
	replace(t, first, "2")
	await(t, changes, "a file that was named from the start")
	load(second)
	w.Look()
	replace(t, second, "2")
	await(t, changes, "a file that was named later")
	load(third)
	replace(t, third, "2") // before anybody watches it
	w.Look()
	await(t, changes, "a file that was written after it was read")
	load(first)
	w.Look()
	replace(t, filepath.Join(dir, "pvgate.yaml"), "loops: 2\n")
	await(t, changes, "pvgate.yaml")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(changes) > 0 {
		t.Errorf("%d changes more were told", len(changes))
	}
}

// What is loaded while the watcher looks is no change, however slow its look is.
func TestWatcherPassesOverWhatIsLoadedMeanwhile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a")
	write(t, file, "1")
	names := []string{file}
	digest := func() Hash { h, _ := new(Digests).Of(names); return h }
	asked := 0
	w, err := NewWatcher(WatchOptions{
		Inputs: func() []string { return names },
		Loaded: func() Hash {
			loaded := digest()
			if asked++; asked <= 2 { // behind the watcher's back, twice
				write(t, file, "more than "+string(loaded[:]))
			}
			return loaded
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.changed() {
		t.Error("what has been loaded is told as a change")
	}
	write(t, file, "2")
	loaded := digest()
	write(t, file, "3")
	w.o.Loaded = func() Hash { return loaded }
	if !w.changed() {
		t.Error("what has been written since it was loaded is not told")
	}
}

// What is no file has no content to wait for: a pipe that nobody writes to would hold up whoever reads it.
func TestDigestPassesOverWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Digests).Of([]string{dir, pipe, "/dev/zero", filepath.Join(dir, "none")}); err != nil {
		t.Error(err)
	}
}
