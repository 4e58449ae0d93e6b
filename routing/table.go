// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"io"

	"github.com/pvgate/pvgate/registry"
)

// Table is the compiled registry. Immutable, safe for concurrent use.
type Table struct{}

// Compile makes a table. If any problem is fatal the table is nil.
func Compile(in Input) (*Table, []Problem) { return nil, nil }

// Resolve decides. It does not allocate.
func (t *Table) Resolve(q *Query) Decision { return Decision{} }

// AppendURL appends the absolute address of a Handover decision: a registry URL byte for byte, a template filled in
// (R16). For a proxied backend whose entry names only a path it appends that path. The error says which placeholder is
// empty where it must not be (CONTRACT 13); the answer is target_refused then.
func (t *Table) AppendURL(dst []byte, q *Query, d *Decision) ([]byte, error) { return dst, nil }

// AppendTarget appends what a proxied backend is asked for before the request's own rest and query: path and query of
// the address without scheme and host; "/" if the address has no path.
func (t *Table) AppendTarget(dst []byte, q *Query, d *Decision) ([]byte, error) { return dst, nil }

// URLLang is the language of the address that AppendURL writes for the query (Content-Language; S76).
func (t *Table) URLLang(q *Query, d *Decision) string { return "" }

// Context is R11's: the ids of the winning target, "" where it has none or several.
func (t *Table) Context(d *Decision) (oe, lb, od string) { return "", "", "" }

// Backends is the number of backends, implicit ones included; the first Configured are Input.Backends.
func (t *Table) Backends() int { return 0 }

// Configured is the number of backends that Input named.
func (t *Table) Configured() int { return 0 }

// BackendName is the configured name, or the host of an implicit backend.
func (t *Table) BackendName(id BackendID) string { return "" }

// BackendProxy says whether requests for the backend are forwarded.
func (t *Table) BackendProxy(id BackendID) bool { return false }

// BackendByName finds a configured backend.
func (t *Table) BackendByName(name string) (BackendID, bool) { return NoBackend, false }

// Closed says whether an offer names the backend (R9).
func (t *Table) Closed(id BackendID) bool { return false }

// Areas is the table's Gemeindeverzeichnis.
func (t *Table) Areas() *registry.Areas { return nil }

// Catalogue is the table's list of Leistungen, never nil.
func (t *Table) Catalogue() *registry.Catalogue { return nil }

// Title of a Leistung: the catalogue's, else that of a row, else "".
func (t *Table) Title(l registry.Leistung) string { return "" }

// Rows is the number of rows, those made by adoptions included.
func (t *Table) Rows() int { return 0 }

// Row describes one row. It allocates.
func (t *Table) Row(id RowID) Row { return Row{} }

// Candidates are the equal targets of an Ambiguous decision, sorted by title, then URL (R10); or the organisation
// units between which a template that requires one cannot decide (R11).
func (t *Table) Candidates(q *Query, d *Decision) []Candidate { return nil }

// Choices are the areas of the next level down inside the asked one (R12), in order of their keys.
func (t *Table) Choices(q *Query) []registry.AreaID { return nil }

// Near are at most five other keys with the same first eight digits that lead to a target for the same question (R13).
func (t *Table) Near(q *Query) []registry.Leistung { return nil }

// HelpFor is what the Land of the asked area offers (R13), with defaults filled in.
func (t *Table) HelpFor(area registry.AreaID) Help { return Help{} }

// NotJoined names the offer behind a not_joined or a NoteNotJoined, and how many areas have a live adoption of it.
func (t *Table) NotJoined(q *Query) (offer string, joined int) { return "", 0 }

// Successors of what has ended: the Leistung's own (R8) and that of the offer (S66); zero and "" if none.
func (t *Table) Successors(q *Query) (registry.Leistung, string) { return registry.Leistung{}, "" }

// GoneWhy is the text of the override that answered Gone.
func (t *Table) GoneWhy(d *Decision) string { return "" }

// Blocked is why the target of a TargetRefused decision is refused, and where it was read.
func (t *Table) Blocked(d *Decision) (cause string, from registry.Origin) { return "", registry.Origin{} }

// Losers is Resolve with every row that did not win. It allocates.
func (t *Table) Losers(q *Query) (Decision, []Loser) { return Decision{}, nil }

// Explain is Resolve with everything that led to the decision. It allocates.
func (t *Table) Explain(q *Query, asked Asked) *Explanation { return nil }

// WriteText writes what `pvgate explain` prints.
func (e *Explanation) WriteText(w io.Writer) error { return nil }

// MarshalJSON writes what `pvgate explain -o json` prints.
func (e *Explanation) MarshalJSON() ([]byte, error) { return nil, nil }

// String is the reason code.
func (v Verdict) String() string { return "" }

// String is the word of vectors and explain.
func (w Why) String() string { return "" }
