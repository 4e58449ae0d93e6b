// SPDX-License-Identifier: EUPL-1.2

// Package proof writes down what a full-count run measured: one JSON file per run in bench/proof, with the commit, the
// machine, the seed and the time beside the figures, so that every figure in a document can be traced to a run.
//
// The calls you want are [Start] before the run and [Run.Write] after it, and [Read] for one that goes on where another has ended. The package decides nothing: whether a figure
// is good enough is the business of the program that measured it.
package proof

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Full says whether this process is part of `make prove` and therefore runs its full counts.
func Full() bool { return os.Getenv("PVGATE_PROVE") == "1" }

// Count returns full in a `make prove` run and short otherwise.
func Count(short, full int) int {
	if Full() {
		return full
	}
	return short
}

// Run is one measured run between Start and Write.
type Run struct {
	name  string
	seed  uint64
	start time.Time
}

// Start begins the run called name (the file name without .json); seed is what would repeat it, 0 if nothing is random.
func Start(name string, seed uint64) *Run {
	return &Run{name: name, seed: seed, start: time.Now()}
}

// Machine is what the figures depend on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
}

// record is the file's form.
type record struct {
	Name    string  `json:"name"`
	Commit  string  `json:"commit"`
	Full    bool    `json:"full"`
	Start   string  `json:"start"`
	Seconds float64 `json:"seconds"`
	Seed    uint64  `json:"seed"`
	Machine Machine `json:"machine"`
	Figures any     `json:"figures"`
}

// Write stores figures in bench/proof/NAME.json of the module that the working directory is in, and returns the path.
// A run with short counts is not kept: it returns "" and writes nothing, unless always is set.
func (r *Run) Write(figures any, always bool) (string, error) {
	if !Full() && !always {
		return "", nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", fmt.Errorf("write proof %s: %w", r.name, err)
	}
	rec := record{
		Name:    r.name,
		Commit:  commit(root),
		Full:    Full(),
		Start:   r.start.UTC().Format(time.RFC3339),
		Seconds: float64(time.Since(r.start).Milliseconds()) / 1000,
		Seed:    r.seed,
		Machine: ThisMachine(),
		Figures: figures,
	}
	text, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write proof %s: %w", r.name, err)
	}
	path := filepath.Join(root, "bench", "proof", r.name+".json")
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("write proof %s: %w", r.name, err)
	}
	return path, nil
}

// Read takes the figures of the last run called name; there may be none, and then they stay as they are.
func Read(name string, figures any) error {
	root, err := moduleRoot()
	if err != nil {
		return fmt.Errorf("read proof %s: %w", name, err)
	}
	text, err := os.ReadFile(filepath.Join(root, "bench", "proof", name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &record{Figures: figures})
	}
	if err != nil {
		return fmt.Errorf("read proof %s: %w", name, err)
	}
	return nil
}

// ThisMachine describes the machine this process runs on.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Arch: runtime.GOARCH}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return m
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// commit is the commit in root, with "+dirty" where tracked files differ from it; "" where git cannot tell.
func commit(root string) string {
	head, err := exec.Command("git", "-C", root, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	id := strings.TrimSpace(string(head))
	// The proof files themselves are what the run rewrites, so they do not make a tree dirty.
	if err := exec.Command("git", "-C", root, "diff", "--quiet", "HEAD", "--", ".", ":!bench/proof", ":!bench/results").Run(); err != nil {
		id += "+dirty"
	}
	return id
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory; run it inside the module")
		}
		dir = parent
	}
}
