// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

//go:embed llhttp.js
var llhttpScript string

// secondOpinion lets llhttp read what each upstream connection carried and returns where it disagrees with judge 1: they
// must count the same requests, and llhttp may complain only where the connection ended inside a request.
func secondOpinion(logs []upstreamLog) (disagreements []string, version string, err error) {
	out, err := exec.Command("node", "-p", "process.versions.node + ' llhttp ' + process.versions.llhttp").Output()
	if err != nil {
		return nil, "", fmt.Errorf("node: %w; it is Debian's package nodejs", err)
	}
	version = strings.TrimSpace(string(out))
	var in bytes.Buffer
	for _, l := range logs {
		b := l.common()
		in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		in.Write(b)
	}
	cmd := exec.Command("node", "--no-warnings", "-e", llhttpScript)
	cmd.Stdin = &in
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err = cmd.Output()
	if err != nil {
		return nil, version, fmt.Errorf("second judge: %w: %s", err, complaints.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(logs) {
		return nil, version, fmt.Errorf("second judge: %d verdicts for %d connections: %s", len(lines), len(logs), complaints.Bytes())
	}
	for i, l := range logs {
		var count int
		var code string
		if _, err := fmt.Sscanf(lines[i], "%d %s", &count, &code); err != nil {
			return nil, version, fmt.Errorf("second judge: line %q: %w", lines[i], err)
		}
		unfinished := code == "HPE_INVALID_EOF_STATE" && l.partial
		if count != l.complete || code != "-" && !unfinished {
			tail := l.bytes[max(0, len(l.bytes)-300):]
			disagreements = append(disagreements, fmt.Sprintf("judge 1 counts %d requests, llhttp %d with %s; the connection ends in %q", l.complete, count, code, tail))
		}
	}
	return disagreements, version, nil
}

// common is what the connection carried with every method that is not everybody's replaced by POST: llhttp knows a fixed
// list of methods, and what a message with another one looks like to it is the question here.
func (l *upstreamLog) common() []byte {
	var b []byte
	at := 0
	starts := l.starts
	if l.partial {
		starts = append(slices.Clone(starts), l.last)
	}
	for _, start := range starts {
		method, _, _ := bytes.Cut(l.bytes[start:], []byte(" "))
		switch string(method) {
		case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH":
		default:
			b = append(append(b, l.bytes[at:start]...), "POST"...)
			at = start + len(method)
		}
	}
	return append(b, l.bytes[at:]...)
}
