// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry/bundle"
)

// newRegistryServe is the verb registry serve: a small web server for bundles.
func newRegistryServe() *cobra.Command {
	var listen, cert, key string
	cmd := &cobra.Command{
		Use:   "serve DIR|FILE",
		Short: "Publish bundles over HTTP, for test benches and small installations",
		Long: "serve answers GET /NAME.pvb with the bundle of that name, or the one bundle FILE: whole, by range, or 304 when\n" +
			"the caller has it (ETag). A file that is no good bundle is not given out; one that is replaced while it is\n" +
			"given out goes on as it was. With --cert and --key it speaks TLS. Any other web server does as well.",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			if (cert == "") != (key == "") {
				return usage("--cert and --key go together; write both or none")
			}
			s, err := newShelf(args[0], slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			if err != nil {
				return err
			}
			defer s.root.Close()
			var secure *tls.Config
			scheme := "http"
			if cert != "" {
				pair, err := tls.LoadX509KeyPair(cert, key)
				if err != nil {
					return fmt.Errorf("certificate: %w", err)
				}
				secure, scheme = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, "https"
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			if secure != nil {
				l = tls.NewListener(l, secure)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "serving %s at %s://%s/\n", args[0], scheme, l.Addr())
			return s.serve(cmd.Context(), l)
		}),
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "host:port")
	cmd.Flags().StringVar(&cert, "cert", "", "certificate chain, PEM")
	cmd.Flags().StringVar(&key, "key", "", "its private key, PEM")
	return cmd
}

// shelf gives out the bundles of a directory. Safe for concurrent use.
type shelf struct {
	root *os.Root
	only string // the one file's name; "" = all
	log  *slog.Logger

	// mu guards known: what has been read of each file, as long as it stays the same file.
	mu    sync.Mutex
	known map[string]shelved
}

type shelved struct {
	info os.FileInfo
	etag string // "" = no good bundle
}

// maxKnown bounds what is remembered of files that may be gone.
const maxKnown = 1000

func newShelf(path string, log *slog.Logger) (*shelf, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &shelf{log: log, known: map[string]shelved{}}
	dir := path
	if !st.IsDir() {
		dir, s.only = filepath.Split(path)
		dir = filepath.Clean(dir)
	}
	s.root, err = os.OpenRoot(dir)
	return s, err
}

// serve answers until the context ends, then what has begun for some seconds more.
func (s *shelf) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Hour, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(end)
	})
	err := server.Serve(l)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if !strings.HasSuffix(name, ".pvb") || strings.ContainsAny(name, "/\\") || s.only != "" && name != s.only {
		http.NotFound(w, r)
		return
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is not waited for
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	etag := s.etag(name, f, info)
	if etag == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache") // may be kept, and is asked for again
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, name, info.ModTime(), f)
}

// etag is the entity-tag of an open file, "" if it is no good bundle. Each state of a file is read once.
func (s *shelf) etag(name string, f *os.File, info os.FileInfo) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known[name]; ok && os.SameFile(k.info, info) && k.info.ModTime().Equal(info.ModTime()) && k.info.Size() == info.Size() {
		return k.etag
	}
	k := shelved{info: info}
	b, err := bundle.Read(f, 1<<40)
	if err == nil {
		k.etag = etagOf(b)
	} else {
		s.log.Warn("not given out", "file", name, "error", err)
	}
	if len(s.known) > maxKnown {
		clear(s.known)
	}
	s.known[name] = k
	return k.etag
}

// etagOf tells two files apart: the content by its digest, and the signatures under it.
func etagOf(b *bundle.Bundle) string {
	h := sha256.New()
	h.Write(b.Digest[:])
	for _, sig := range b.Signatures() {
		h.Write([]byte(sig.Key))
		h.Write(sig.Bytes[:])
	}
	return `"` + hex.EncodeToString(h.Sum(nil)) + `"`
}
