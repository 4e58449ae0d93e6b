// SPDX-License-Identifier: EUPL-1.2

package xzufi

// MaxID bounds each text of an [ID], in bytes.
const MaxID = 256

// Limits bound what a message may make the reader hold. A message beyond one is refused whole. Zero = the default.
type Limits struct {
	Object   int64 // bytes of one child of the root, as written; default 16 MiB
	Elements int   // in one child of the root; default 250 000
	Text     int64 // bytes of one text, comment, CDATA section or processing instruction; default 1 MiB
}

func (l *Limits) setDefaults() {
	if l.Object <= 0 {
		l.Object = 16 << 20
	}
	if l.Elements <= 0 {
		l.Elements = 250_000
	}
	if l.Text <= 0 {
		l.Text = 1 << 20
	}
}

// What no message needs more of. A message beyond one of these is refused.
const (
	window      = 128 << 10 // bytes read at a time; a tag has to fit
	maxDepth    = 64
	maxName     = 256 // bytes of a name with its prefix
	maxAttrs    = 64  // of one element
	maxBindings = 64  // of prefixes in force at a place
	maxRef      = 16  // bytes of a reference, "&#x10FFFF;" has 10
)

// What no object needs more of. An object beyond one of these is put aside.
const (
	maxValue   = 16 << 10 // bytes of a text that is kept
	maxTexts   = 200      // names, links, keys, types, periods, parameters: of each
	maxAreas   = 20_000   // more than there are
	maxNested  = 20_000   // Zustaendigkeiten inside one object
	keepAtMost = 1 << 10  // elements of a list whose memory is used again for the next object
)
