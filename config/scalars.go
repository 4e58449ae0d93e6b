// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins every environment variable that sets something.
const envPrefix = "PVGATE"

// scalar is a setting of pvgate.yaml that the environment and flags may set.
type scalar struct {
	key  string // as viper knows it
	is   string // form
	text func(*Root) *Text
	num  func(*Root) *Int
}

// scalars are all of them. Lists and everything with names an operator chose
// are not: viper folds the case of keys and splits them at dots.
func scalars() []scalar {
	return []scalar{
		{key: "domain", is: "host", text: func(r *Root) *Text { return &r.Domain }},
		{key: "admin.address", is: "loopback", text: func(r *Root) *Text { return &r.Admin.Address }},
		{key: "access_log.file", is: "logfile", text: func(r *Root) *Text { return &r.AccessLog.File }},
		{key: "areas.file", is: "path", text: func(r *Root) *Text { return &r.Areas.File }},
		{key: "areas.aliases", is: "path", text: func(r *Root) *Text { return &r.Areas.Aliases }},
		{key: "loops", is: "loops", num: func(r *Root) *Int { return &r.Loops }},
		{key: "memory", is: "size", text: func(r *Root) *Text { return &r.Memory }},
		{key: "leistungen", is: "path", text: func(r *Root) *Text { return &r.Leistungen }},
		{key: "context_keys", is: "path", text: func(r *Root) *Text { return &r.ContextKeys }},
	}
}

// Scalar is a setting that a flag and the environment may set too.
type Scalar struct {
	Key  string // as in the file, such as admin.address
	Flag string // without dashes, such as admin-address
	Env  string // PVGATE_ADMIN_ADDRESS
	Help string
}

// Scalars lists the settings that flags and the environment may set.
func Scalars() []Scalar {
	var out []Scalar
	for _, s := range scalars() {
		out = append(out, Scalar{Key: s.key, Flag: s.flag(), Env: s.env(), Help: helpOf(s.key)})
	}
	return out
}

// helpOf is the help of a key of pvgate.yaml by its path.
func helpOf(key string) string {
	t := reflect.TypeFor[Root]()
	head, rest, nested := strings.Cut(key, ".")
	for {
		fields := fieldsOf(t)
		f := fields[slices.IndexFunc(fields, func(f field) bool { return f.key == head })]
		if !nested {
			return f.help
		}
		t = t.FieldByIndex(f.index).Type
		head, rest, nested = strings.Cut(rest, ".")
	}
}

func (s *scalar) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

func (s *scalar) env() string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

func (s *scalar) get(r *Root) (value string, o Origin) {
	if s.num != nil {
		n := s.num(r)
		return strconv.Itoa(n.V), n.Origin
	}
	t := s.text(r)
	return t.V, t.Origin
}

// flagValue hands one setting of the command line to viper.
type flagValue struct{ name, value string }

func (f flagValue) HasChanged() bool    { return true }
func (f flagValue) Name() string        { return f.name }
func (f flagValue) ValueString() string { return f.value }
func (f flagValue) ValueType() string   { return "string" }

// mergeScalars lays environment and flags over what the file says (already in
// r, with defaults). Precedence is viper's: flag, environment, file, default. An
// empty variable counts as absent; unknown PVGATE_ variables are none of ours
// (Kubernetes sets PVGATE_PORT and more for a Service of that name).
func mergeScalars(r *Root, flags map[string]string) Errors {
	var errs Errors
	v := viper.New()
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()
	var known []string
	for _, s := range scalars() {
		known = append(known, s.key)
		value, o := s.get(r)
		v.SetDefault(s.key, "")
		if o.Where == FromFile {
			// The form viper would read from the file, one key at a time.
			if err := v.MergeConfigMap(nest(s.key, value)); err != nil {
				errs = append(errs, At(o, "%s cannot be merged: %v", s.key, err))
			}
		} else {
			v.SetDefault(s.key, value)
		}
	}
	for key, value := range flags {
		o := Origin{Where: FromFlag, Name: key}
		if !slices.Contains(known, key) {
			errs = append(errs, At(o, "no such setting; these can be set: %s", strings.Join(known, " ")))
			continue
		}
		if err := v.BindFlagValue(key, flagValue{key, value}); err != nil {
			errs = append(errs, At(o, "cannot be merged: %v", err))
		}
	}
	for _, s := range scalars() {
		var o Origin
		if _, ok := flags[s.key]; ok {
			o = Origin{Where: FromFlag, Name: s.flag()}
		} else if os.Getenv(s.env()) != "" {
			o = Origin{Where: FromEnv, Name: s.env()}
		} else {
			continue
		}
		errs = append(errs, s.set(r, v.GetString(s.key), o)...)
	}
	return errs
}

// set puts a value from outside the files in place, checked like one of a file.
func (s *scalar) set(r *Root, value string, o Origin) Errors {
	d := decoder{}
	n := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	f := field{key: s.key, is: s.is}
	if s.num != nil {
		n.Tag = "!!int"
		d.number(&n, s.num(r), &f)
		s.num(r).Origin = o
	} else {
		d.text(&n, s.text(r), &f)
		s.text(r).Origin = o
	}
	for _, e := range d.errs {
		e.Origin = o
	}
	return d.errs
}

func nest(key, value string) map[string]any {
	head, rest, ok := strings.Cut(key, ".")
	if !ok {
		return map[string]any{head: value}
	}
	return map[string]any{head: nest(rest, value)}
}
