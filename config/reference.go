// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the schema as Markdown: for each block a table of its keys
// with type, default and meaning. It is made from the tags the loader itself
// obeys, so it cannot say anything else.
func Reference() string {
	var b strings.Builder
	r := reference{out: &b, done: map[reflect.Type]bool{}}
	r.block("pvgate.yaml", reflect.TypeFor[Root]())
	r.block("routes.d/**.yaml", reflect.TypeFor[RouteFile]())
	r.rest()
	r.block("areas.aliases file", reflect.TypeFor[AliasFile]())
	r.rest()
	b.WriteString("\nThese can also be set by the environment and by flags (flag before environment before file before default):\n\n")
	for _, s := range Scalars() {
		fmt.Fprintf(&b, "- `%s`: `%s`, `--%s`\n", s.Key, s.Env, s.Flag)
	}
	return b.String()
}

type reference struct {
	out   *strings.Builder
	done  map[reflect.Type]bool
	queue []refBlock
}

type refBlock struct {
	name string
	t    reflect.Type
}

// rest renders the blocks that were met on the way, in the order they were met.
func (r *reference) rest() {
	for len(r.queue) > 0 {
		next := r.queue[0]
		r.queue = r.queue[1:]
		r.block(next.name, next.t)
	}
}

func (r *reference) block(name string, t reflect.Type) {
	if r.done[t] {
		return
	}
	r.done[t] = true
	if r.out.Len() > 0 {
		r.out.WriteByte('\n')
	}
	fmt.Fprintf(r.out, "### %s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", name)
	for _, f := range fieldsOf(t) {
		ft := t.FieldByIndex(f.index).Type
		def := "–"
		switch {
		case f.need != "":
			def = "**required**"
		case f.def != "":
			def = "`" + f.def + "`"
		}
		help := f.help
		if strings.Contains(f.is, "|") && !strings.Contains(help, strings.Split(f.is, "|")[0]) {
			help += " (" + strings.ReplaceAll(f.is, "|", ", ") + ")"
		}
		fmt.Fprintf(r.out, "| `%s` | %s | %s | %s |\n", f.key, r.typeName(f.key, ft), def,
			strings.ReplaceAll(help, "|", `\|`))
	}
}

// typeName names a type for operators and queues the blocks it leads to.
func (r *reference) typeName(key string, t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Text]():
		return "text"
	case reflect.TypeFor[Int]():
		return "number"
	case reflect.TypeFor[Bool]():
		return "true/false"
	case reflect.TypeFor[Duration]():
		return "time span"
	case reflect.TypeFor[Rate]():
		return "rate"
	case reflect.TypeFor[Hosts]():
		return "list of text, or `any`"
	case reflect.TypeFor[To]():
		return "text, or backend: number"
	case reflect.TypeFor[AdoptionAreas]():
		return "area: text, or list of text"
	case reflect.TypeFor[[]Endpoint]():
		r.queue = append(r.queue, refBlock{"endpoint", reflect.TypeFor[weighted]()})
		return "list of text, or of endpoint"
	case reflect.TypeFor[OneList]():
		return "text, or list of text"
	case reflect.TypeFor[Adoptions]():
		r.queue = append(r.queue, refBlock{"adoption", reflect.TypeFor[Adoption]()})
		return "list of adoption, or csv: text"
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		if member, ok := memberType(t); ok {
			return "name: " + r.typeName("", member)
		}
		return "list of " + r.typeName("", t.Elem())
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := key // a block there is one of goes by its key
	if name == "" {
		name = strings.ToLower(t.Name())
	}
	r.queue = append(r.queue, refBlock{name, t})
	return name
}

// memberType is what the members of a Map are.
func memberType(t reflect.Type) (reflect.Type, bool) {
	e := t.Elem()
	if !strings.HasPrefix(t.Name(), "Map[") {
		return nil, false
	}
	f, ok := e.FieldByName("V")
	return f.Type, ok
}
