// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
)

// Real clients of HTTP/2, as far as they are installed, by prior knowledge.
func TestH2RealClients(t *testing.T) {
	t.Parallel()
	back := origin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100_000)) })
	_, addr := start(t, back, func(o *gateway.Options, _ *gateway.Snapshot) {
		o.Listen = []gateway.Listener{{Address: "127.0.0.1:0", Protocols: conn.HTTP1 | conn.HTTP2}}
	})
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"curl", "2 200 100000", []string{"-s", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"}},
		{"nghttp", ":status: 200", []string{"-nv", "--no-dep"}},
		{"h2load", "500 succeeded, 0 failed, 0 errored", []string{"-n500", "-c4", "-m16"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool, err := exec.LookPath(tt.name)
			if err != nil {
				t.Skip(tt.name, "is not installed")
			}
			out, err := exec.CommandContext(t.Context(), tool, append(tt.args, "http://"+addr+"/a")...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, out)
			}
		})
	}
}
