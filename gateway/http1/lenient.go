// SPDX-License-Identifier: EUPL-1.2

//go:build pvgate_lenient

package http1

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// strict is false here: this file makes the machines as forgiving as the worst
// of their kind, so that the harness that feeds attacks to a gateway can be seen
// to find something. It is never part of a binary that serves.
const strict = false

// lenientFieldLine takes any line for a field: a bare line feed ends it, every
// octet may stand in it, whitespace around the name is dropped.
func lenientFieldLine(b []byte, f *message.Field) (n int, c cause) {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return 0, causeNone
	}
	line := bytes.TrimRight(b[:nl], "\r")
	name, value, _ := bytes.Cut(line, []byte(":"))
	f.Name, f.Value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	if len(f.Name) == 0 || line[0] == ' ' || line[0] == '\t' {
		f.Name, f.Value = []byte("X-Fold"), bytes.TrimSpace(line)
	}
	f.ID = message.Classify(f.Name)
	return nl + 1, causeNone
}

// lenientRequestLine splits at any whitespace and believes the rest.
func lenientRequestLine(b []byte, h *message.Head) (n int, c cause) {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return 0, causeNone
	}
	parts := bytes.Fields(b[:nl])
	if len(parts) < 2 {
		return 0, causeHTTP09
	}
	h.MethodText, h.Method = parts[0], message.ParseMethod(parts[0])
	h.Target = parts[1]
	if h.Target[0] != '/' && h.Target[0] != '*' {
		h.Target = rootPath
	}
	h.Path, h.Query, h.HasQuery = bytes.Cut(h.Target, []byte("?"))
	if string(parts[len(parts)-1]) != "HTTP/1.0" {
		h.Minor = 1
	}
	return nl + 1, causeNone
}
