// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatchOptions say what a Watcher looks at.
type WatchOptions struct {
	// Path is pvgate.yaml; its folder and routes.d are watched. "" is none: only Inputs are.
	Path string
	// Inputs lists the files whose content matters, as [Config.Inputs] of the
	// configuration in force; asked again at each change and each [Watcher.Look].
	// Their folders are watched too. Nil means only what Path tells.
	Inputs func() []string
	// Loaded is the digest over Inputs, taken before they were read: what is as it
	// was then is no change. It may wait for a load that is under way. Nil means
	// there is none.
	Loaded func() Hash
	// Digests takes the digests; nil is one of its own.
	Digests *Digests
	// Quiet is how long nothing may happen before a change counts as complete;
	// 0 is 150 ms. Writers that never pause are cut short after ten times that.
	Quiet time.Duration
}

const defaultQuiet = 150 * time.Millisecond

// Watcher tells when the files of a configuration have changed.
//
// It watches folders, not files: editors write a new file and rename it over the
// old one, and Kubernetes swaps a symbolic link, and both would leave a watch on
// the old file behind. Events that leave all contents as they were (touch, a
// file saved unchanged) do not count.
type Watcher struct {
	w    *fsnotify.Watcher
	o    WatchOptions
	look chan struct{}
	// What was seen last: of Path and routes.d, and of Inputs.
	roots, inputs Hash
}

// NewWatcher begins to watch. Make it before Load, so that no change falls
// between the two, and call Run after, or Close, exactly once.
func NewWatcher(o WatchOptions) (*Watcher, error) {
	fw, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	if o.Path != "" {
		if err := fw.Add(filepath.Dir(o.Path)); err != nil {
			_ = fw.Close() // the first error says it
			return nil, fmt.Errorf("watch the configuration: %w", err)
		}
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	if o.Digests == nil {
		o.Digests = &Digests{}
	}
	w := &Watcher{w: fw, o: o, look: make(chan struct{}, 1)}
	w.addFolders()
	w.roots, _ = o.Digests.Of(w.rootFiles()) // an unreadable state differs from any later one
	if o.Loaded == nil {
		w.inputs, _ = o.Digests.Of(w.inputFiles())
	}
	w.Look() // at what has been read since
	return w, nil
}

// Look says that Inputs may list other files now. Those are watched, and have
// changed if they are not as Loaded. Safe for concurrent use.
func (w *Watcher) Look() {
	select {
	case w.look <- struct{}{}:
	default: // it is about to
	}
}

// Close ends a watch that is not run.
func (w *Watcher) Close() error { return w.w.Close() }

// Run calls changed after each change until ctx ends, one call after the other;
// then it stops watching. A call may be made once too often, never too rarely.
// The error is nil unless the kernel ends the watch.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	defer w.w.Close()
	quiet := time.NewTimer(0)
	if !quiet.Stop() {
		<-quiet.C
	}
	var began time.Time // of the change that is under way
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.w.Events:
			if !ok {
				return fmt.Errorf("watch the configuration: the kernel closed the watch")
			}
			if !w.matters(event.Name) {
				continue
			}
			if now := time.Now(); began.IsZero() {
				began = now
				quiet.Reset(w.o.Quiet)
			} else if now.Sub(began) < 10*w.o.Quiet {
				quiet.Reset(w.o.Quiet)
			}
		case _, ok := <-w.w.Errors:
			if !ok {
				return fmt.Errorf("watch the configuration: the kernel closed the watch")
			}
			// Events were lost (queue overflow): look as if one had come.
			quiet.Reset(w.o.Quiet)
		case <-w.look:
			if w.changed() {
				changed()
			}
		case <-quiet.C:
			began = time.Time{}
			if w.changed() {
				changed()
			}
		}
	}
}

// changed looks at all contents that matter now: whatever a new Load would find,
// and the inputs of the configuration in force. It reports whether they are
// others than before.
func (w *Watcher) changed() bool {
	// New folders first: a file that appears in one after the digest then makes
	// an event of its own.
	w.addFolders()
	inputs, loaded, inputsErr := w.lookAtInputs()
	roots, rootsErr := w.o.Digests.Of(w.rootFiles())
	same := rootsErr == nil && inputsErr == nil && roots == w.roots && (inputs == w.inputs || inputs == loaded)
	w.roots, w.inputs = roots, inputs
	return !same
}

// lookAtInputs is the digest over Inputs and the one of what is loaded. Loaded is asked before, for it waits and what is
// looked at meanwhile would be old, and after: what is loaded while they are looked at may be what they are now.
func (w *Watcher) lookAtInputs() (inputs, loaded Hash, err error) {
	if w.o.Loaded == nil {
		inputs, err = w.o.Digests.Of(w.inputFiles())
		return inputs, w.inputs, err
	}
	for loaded = w.o.Loaded(); ; {
		inputs, err = w.o.Digests.Of(w.inputFiles())
		before := loaded
		if loaded = w.o.Loaded(); loaded == before || inputs == loaded || err != nil {
			return inputs, loaded, err
		}
	}
}

// matters reports whether an event may be about a file of the configuration. The
// folders hold other files too, such as logs that are written all the time, and
// looking at all contents for each of them would be dear.
func (w *Watcher) matters(name string) bool {
	name = filepath.Clean(name) // a watch on "." tells "./pvgate.yaml"
	switch routes := w.routes(); {
	case routes != "" && (name == routes || strings.HasPrefix(name, routes+string(filepath.Separator))):
		return true
	case strings.HasPrefix(filepath.Base(name), ".."): // the link that Kubernetes swaps
		return true
	}
	return w.o.Path != "" && name == filepath.Clean(w.o.Path) || slices.ContainsFunc(w.inputFiles(), func(f string) bool { return filepath.Clean(f) == name })
}

// addFolders watches every folder a configuration file may be in. Watching one
// twice is harmless, one that is gone is forgotten by the kernel.
func (w *Watcher) addFolders() {
	for _, f := range w.inputFiles() {
		_ = w.w.Add(filepath.Dir(f)) // may not exist yet; its parent tells when it does
	}
	if w.o.Path == "" {
		return
	}
	_ = filepath.WalkDir(w.routes(), func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = w.w.Add(p)
		}
		return nil
	})
}

// routes is the folder of route files, "" without Path.
func (w *Watcher) routes() string {
	if w.o.Path == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(w.o.Path), routesDir)
}

func (w *Watcher) inputFiles() []string {
	if w.o.Inputs == nil {
		return nil
	}
	return w.o.Inputs()
}

// rootFiles are pvgate.yaml and the route files there are.
func (w *Watcher) rootFiles() []string {
	if w.o.Path == "" {
		return nil
	}
	files := []string{w.o.Path}
	_ = filepath.WalkDir(w.routes(), func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && isRouteFile(e.Name()) {
			files = append(files, p)
		}
		return nil
	})
	return files
}
