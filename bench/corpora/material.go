// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kase is one case of the material; which fields are set depends on the kind of its file.
type kase struct {
	corpus string // file name without .jsonl
	Name   string
	Policy string // accept, reject, any, incomplete
	// Expected is the verdict of a response case; of requests only Policy binds.
	Expected string
	Raw      []byte   `json:"raw_request_base64"`
	Response []byte   `json:"raw_response_base64"`
	Request  []byte   `json:"request_base64"`
	Steps    [][]byte `json:"steps_base64"`
	NOK      *int     `json:"n_ok"`
	Findings []string
	Have     []string `json:"upstream_must_have"`
	HaveNot  []string `json:"upstream_must_not_have"`
	// Of HTTP/2: the field lines in order, pseudo-fields included; Expected is their policy.
	Headers  [][2]string `json:"headers"`
	Body     []byte      `json:"body_base64"`
	Trailers [][2]string `json:"trailers"`
}

// material are the cases by kind.
type material struct {
	requests, sequences, paths, responses, mutants, streams []*kase
}

// load reads every file of the folder that holds bytes for HTTP/1.1 or field lines for HTTP/2; lists of behaviours are not
// for this program.
func load(folder string) (*material, error) {
	m := &material{}
	for _, f := range []struct {
		pattern string
		to      *[]*kase
	}{
		{"*.requests.jsonl", &m.requests},
		{"generated-mutations.*.jsonl", &m.requests},
		{"*.sequences.jsonl", &m.sequences},
		{"*.responses.jsonl", &m.responses},
	} {
		files, err := filepath.Glob(filepath.Join(folder, f.pattern))
		if err != nil {
			return nil, fmt.Errorf("load material: %w", err)
		}
		for _, file := range files {
			corpus := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".jsonl"), ".requests")
			to := f.to
			switch corpus {
			case "path-normalisation":
				to = &m.paths
			case "h2-downgrade":
				to = &m.streams
			}
			if err := loadFile(file, corpus, to); err != nil {
				return nil, err
			}
		}
	}
	for _, k := range m.streams {
		k.Policy, k.Expected = k.Expected, ""
	}
	if len(m.requests) == 0 || len(m.responses) == 0 {
		return nil, fmt.Errorf("load material: no cases in %s; PVGATE_MATERIAL must name the folder above corpora", folder)
	}
	return m, nil
}

func loadFile(file, corpus string, to *[]*kase) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("load material: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		k := &kase{corpus: corpus}
		if err := json.Unmarshal(lines.Bytes(), k); err != nil {
			return fmt.Errorf("load material: %s:%d: %w", file, n, err)
		}
		*to = append(*to, k)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("load material: %s: %w", file, err)
	}
	return nil
}
