// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds nesting; the schema itself needs seven levels.
const maxDepth = 16

// parseYAML reads the one document of a file and refuses the parts of YAML that
// hide what a file says: anchors, aliases, merge keys, tags, a second document,
// a key given twice. It returns nil with the errors when nothing can be decoded.
func parseYAML(name string, data []byte) (*yaml.Node, Errors) {
	at := Origin{Where: FromFile, Name: name, Line: 1, Col: 1}
	if !utf8.Valid(data) {
		return nil, Errors{At(at, "the file is not UTF-8; save it as UTF-8")}
	}
	if line, col, r := controlChar(data); line > 0 {
		at.Line, at.Col = line, col
		return nil, Errors{At(at, "control character %U; remove it", r)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, Errors{At(at, "the file is empty; write its keys or remove it")}
	} else if err != nil {
		return nil, Errors{syntaxError(name, data, err)}
	}
	if err := dec.Decode(&second); err == nil {
		at.Line, at.Col = second.Line, second.Column
		return nil, Errors{At(at, "a second document begins; a file holds one, remove the ---")}
	} else if !errors.Is(err, io.EOF) {
		return nil, Errors{syntaxError(name, data, err)}
	}
	if len(doc.Content) != 1 {
		return nil, Errors{At(at, "the file is empty; write its keys or remove it")}
	}
	root := doc.Content[0]
	var errs Errors
	if !strictNode(name, root, 0, &errs) {
		return nil, errs
	}
	return root, errs
}

// controlChar finds the first control character YAML does not allow, or the
// byte order mark that some editors write.
func controlChar(data []byte) (line, col int, r rune) {
	line, col = 1, 0
	for _, r := range string(data) {
		col++
		switch {
		case r == '\n':
			line, col = line+1, 0
		case r < 0x20 && r != '\t' && r != '\r', r == 0x7f, r == 0xfeff:
			return line, col, r
		}
	}
	return 0, 0, 0
}

// strictNode reports what must not stand in a configuration; false means that
// the tree is not fit to be decoded.
func strictNode(name string, n *yaml.Node, depth int, errs *Errors) bool {
	at := Origin{Where: FromFile, Name: name, Line: n.Line, Col: n.Column}
	if depth > maxDepth {
		*errs = append(*errs, At(at, "nested deeper than %d levels; nothing in the schema is", maxDepth))
		return false
	}
	if n.Anchor != "" {
		*errs = append(*errs, At(at, "anchor &%s is not allowed; write the value where it is needed", n.Anchor))
		return false
	}
	if n.Kind == yaml.AliasNode {
		*errs = append(*errs, At(at, "alias *%s is not allowed; write the value out", n.Value))
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		*errs = append(*errs, At(at, "tag %s is not allowed; write the plain value", n.Tag))
		return false
	}
	ok := true
	if n.Kind == yaml.MappingNode {
		ok = strictKeys(name, n, errs)
	}
	for _, c := range n.Content {
		ok = strictNode(name, c, depth+1, errs) && ok
	}
	return ok
}

// strictKeys checks the keys of one mapping: plain texts, each once.
func strictKeys(name string, n *yaml.Node, errs *Errors) bool {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		at := Origin{Where: FromFile, Name: name, Line: k.Line, Col: k.Column}
		switch {
		case k.Kind == yaml.AliasNode: // reported where the tree is walked
		case k.Kind != yaml.ScalarNode:
			*errs = append(*errs, At(at, "a key must be one word, not a list or mapping; a placeholder {…} must be quoted"))
			return false
		case k.Tag == "!!merge":
			*errs = append(*errs, At(at, "merge key << is not allowed; write the keys out"))
			return false
		case first[k.Value] != 0:
			*errs = append(*errs, At(at, "key %q is given twice (first in line %d); remove one", k.Value, first[k.Value]))
		default:
			first[k.Value] = k.Line
		}
	}
	return true
}

// yamlError matches what the YAML library says; its line is that of the
// construct it was in, sometimes the one before.
var yamlError = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(?s:(.*))$`)

// barePlaceholder matches an unquoted value with a placeholder in it.
var barePlaceholder = regexp.MustCompile(`:\s+([^"'\s#,{}\[\]][^"'#,{}\[\]]*)?(\{[a-z_]+(?::[0-9]+)?\})[^"'#,}\]]*`)

// syntaxError turns an error of the YAML library into one with a position. The
// commonest cause in route files is a template in a flow mapping, whose braces
// end the value; it is named as such.
func syntaxError(name string, data []byte, err error) *Error {
	at := Origin{Where: FromFile, Name: name, Line: 1, Col: 1}
	what := err.Error()
	if m := yamlError.FindStringSubmatch(what); m != nil {
		what = m[2]
		if l, aerr := strconv.Atoi(m[1]); aerr == nil && l > 0 {
			at.Line = l
			if strings.HasPrefix(what, "did not find expected") {
				at.Line++ // errors of its parser (not its scanner) count from 0
			}
		}
	}
	lines := strings.Split(string(data), "\n")
	// The library names the construct it was in, which may begin lines before
	// the value that broke it, or end one line after.
	for l := max(1, at.Line-1); l <= len(lines) && l <= at.Line+50; l++ {
		line := lines[l-1]
		if !strings.Contains(line, "{") {
			continue
		}
		for _, m := range barePlaceholder.FindAllStringSubmatchIndex(line, -1) {
			if !insideFlow(lines, l-1, m[0]) {
				continue
			}
			start := m[4]
			if m[2] >= 0 {
				start = m[2]
			}
			value := strings.TrimSpace(line[start:m[1]])
			at.Line, at.Col = l, utf8.RuneCountInString(line[:start])+1
			return At(at, "placeholder %s inside a {…} mapping must be quoted; write %q", line[m[4]:m[5]], value)
		}
	}
	return At(at, "not YAML here or just after: %s", what)
}

// insideFlow reports whether byte col of a line stands inside a flow mapping
// that the line itself or one of the lines shortly before opened.
func insideFlow(lines []string, line, col int) bool {
	depth, quote := 0, byte(0)
	for l := max(0, line-20); l <= line; l++ {
		text := lines[l]
		if l == line {
			text = text[:col]
		}
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case (c == '"' || c == '\'') && i > 0 && strings.IndexByte(" {[,:", text[i-1]) >= 0:
				quote = c
			case c == '#' && (i == 0 || text[i-1] == ' '):
				i = len(text)
			case c == '{':
				depth++
			case c == '}' && depth > 0:
				depth--
			}
		}
	}
	return depth > 0
}

// kindName names what a node is, for messages.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	}
	return "text"
}

// plainNumber is what a plain number becomes for a YAML reader that does not
// know better, and whether that differs from what is written.
func plainNumber(n *yaml.Node) (becomes string, differs bool) {
	var v any
	if n.Decode(&v) != nil {
		return n.Value, false
	}
	becomes = fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		becomes = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return becomes, becomes != n.Value
}
