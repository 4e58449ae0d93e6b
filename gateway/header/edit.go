// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"errors"
	"strings"

	"github.com/pvgate/pvgate/gateway/message"
)

// Bounds of an Edit: each of its names is compared with each field.
const (
	maxEdits     = 32
	maxEditValue = 4 << 10
)

// Edit is what an operator changes about the fields that pass to or from one
// backend. It comes after what a client, or the backend, has no right to say
// was taken out, and before the gateway's own fields are added, so it touches
// neither. nil changes nothing. Immutable.
type Edit struct {
	set    []message.Field
	remove []string // in the form of mapped; a * at the end stands for any rest
}

// NewEdit makes an edit. Whatever is set replaces all fields of its name, in
// any spelling that a backend could take for it. A name in remove may end in *.
func NewEdit(set [][2]string, remove []string) (*Edit, error) {
	e := &Edit{}
	if len(set)+len(remove) > maxEdits {
		return nil, errors.New("more names than 32; each is compared with each field")
	}
	for _, f := range set {
		if err := MaySet(f[0], f[1]); err != nil {
			return nil, err
		}
		e.set = append(e.set, message.Field{Name: []byte(f[0]), Value: []byte(f[1])})
		e.remove = append(e.remove, mapped(f[0]))
	}
	for _, name := range remove {
		if err := MayRemove(name); err != nil {
			return nil, err
		}
		e.remove = append(e.remove, mapped(name))
	}
	for i := range e.set {
		e.set[i].ID = message.Classify(e.set[i].Name)
	}
	return e, nil
}

// mapped folds the spellings of a name that CGI-style backends take for one.
func mapped(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

var (
	errName      = errors.New("is no field name")
	errProtected = errors.New("is pvgate's own: who asks, where from, for whom and how a message is framed is not for configuration")
	errSecret    = errors.New("would put a secret into the configuration; give the backend one by another way")
	errOrigin    = errors.New("decides where browsers go or what they keep, and is rewritten by pvgate")
	errValue     = errors.New("has a value with control characters, spaces at its ends, or more than 4 KiB")
	errStar      = errors.New("may end in *, after at least two other characters")
)

// MaySet says why a field may not be set, nil if it may.
func MaySet(name, value string) error {
	id, err := editable(name)
	switch {
	case err != nil:
		return err
	case id == message.Authorization, id == message.Cookie:
		return errSecret
	case id == message.SetCookie, id == message.Location, id == message.ContentLocation, id == message.Refresh,
		id == message.AltSvc, id == message.StrictTransportSecurity, id == message.SetCookie2, id == message.SiteWide:
		return errOrigin
	case len(value) > maxEditValue, strings.TrimSpace(value) != value, message.Value.Prefix([]byte(value)) != len(value):
		return errValue
	}
	return nil
}

// MayRemove says why a field may not be removed, nil if it may. What pvgate sets
// itself stays whatever a name with * fits.
func MayRemove(name string) error {
	if rest, ok := strings.CutSuffix(name, "*"); ok {
		if len(rest) < 2 || !message.Token.All([]byte(rest)) {
			return errStar
		}
		return nil
	}
	_, err := editable(name)
	return err
}

func editable(name string) (message.FieldID, error) {
	id := message.Classify([]byte(mapped(name)))
	switch {
	case name == "", !message.Token.All([]byte(name)), strings.Contains(name, "*"):
		return id, errName
	case !id.Passes(), id == message.Date, id == message.ProxyStatus:
		return id, errProtected
	}
	return id, nil
}

// apply edits a list in place and returns it.
func (e *Edit) apply(fields []message.Field) []message.Field {
	kept := fields[:0]
	for i := range fields {
		if f := &fields[i]; !e.removes(f) {
			kept = append(kept, *f)
		}
	}
	return append(kept, e.set...)
}

// removes reports whether a field is to go. Which names are ours no pattern
// changes.
func (e *Edit) removes(f *message.Field) bool {
	if !f.ID.Passes() || f.ID == message.Date {
		return false
	}
	for _, name := range e.remove {
		if fits(name, f.Name) {
			return true
		}
	}
	return false
}

// fits compares a name with a pattern in the form of mapped.
func fits(pattern string, name []byte) bool {
	if n := len(pattern) - 1; n >= 0 && pattern[n] == '*' {
		if len(name) < n {
			return false
		}
		pattern, name = pattern[:n], name[:n]
	}
	if len(pattern) != len(name) {
		return false
	}
	for i, c := range name {
		if c == '_' || c == '.' {
			c = '-'
		}
		if message.Lower(c) != pattern[i] {
			return false
		}
	}
	return true
}
