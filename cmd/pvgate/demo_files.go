// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// demoFiles is the demo's configuration. Its yaml files are templates of demoAddresses.
//
//go:embed demo
var demoFiles embed.FS

// demoAddresses are what the demo's configuration cannot know beforehand.
type demoAddresses struct {
	Listen, TLS, Admin string
	endpoints          map[string]string // by backend: host:port
}

// Endpoint is the address of a backend's endpoint.
func (a demoAddresses) Endpoint(backend string) (string, error) {
	e, ok := a.endpoints[backend]
	if !ok {
		return "", fmt.Errorf("no simulated portal answers for backend %q", backend)
	}
	return "http://" + e, nil
}

// demoDomain is the demo's entry host, as its configuration says.
const demoDomain = "pvgate.localhost"

// writeDemo writes the demo's configuration and certificates into dir and returns the path of its pvgate.yaml.
func writeDemo(dir string, a demoAddresses) (path string, err error) {
	err = fs.WalkDir(demoFiles, "demo", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(p, "demo"), "/")
		to := filepath.Join(dir, filepath.FromSlash(rel))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := demoFiles.ReadFile(p)
		if err != nil {
			return err
		}
		if filepath.Ext(p) == ".yaml" {
			if data, err = fill(p, data, a); err != nil {
				return err
			}
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	if err := writeDemoTLS(dir, demoDomain, time.Now()); err != nil {
		return "", err
	}
	return filepath.Join(dir, defaultConfig), nil
}

func fill(name string, data []byte, a demoAddresses) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(string(data))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, a); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
