// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/keyring"
	"github.com/pvgate/pvgate/registry"
)

// context are keys for the handover context of a process's own: for a node alone, over its upgrades.
func (k *keys) context() *handover.Keys {
	own, err := handover.NewKeys(k.Context)
	if err != nil {
		panic("one key is as many as there may be: " + err.Error())
	}
	return own
}

// contextKeys reads the keys of the handover context; without a file they are the process's own.
func contextKeys(cfg *config.Config, own *handover.Keys, rt *routes, errs *config.Errors) *handover.Keys {
	file := cfg.Root.ContextKeys
	if file.V == "" {
		return own
	}
	name := cfg.Resolve(file.V)
	secrets, err := keyring.Read(name)
	if err != nil {
		*errs = append(*errs, config.At(file.Origin, "context_keys: %s %v", file.V, err))
		return nil
	}
	raw := make([][handover.KeySize]byte, 0, len(secrets))
	for _, s := range secrets {
		raw = append(raw, s)
	}
	keys, err := handover.NewKeys(raw...)
	if err != nil {
		*errs = append(*errs, config.At(file.Origin, "context_keys: %s %v", file.V, err))
		return nil
	}
	if keyring.Exposed(name) {
		rt.warnings = append(rt.warnings, config.At(file.Origin, "everybody on this machine may read %s, and forge contexts with it; chmod o-r", file.V))
	}
	return keys
}

// warnOfSharedOrigins says which backends a browser cannot keep apart although their owners differ: those below one host.
func warnOfSharedOrigins(cfg *config.Config, rt *routes) {
	var shared []*routedBackend
	for i := range rt.backends {
		if b := &rt.backends[i]; b.conf.Mode.V == "proxy" && b.conf.Isolation.V == "path" {
			shared = append(shared, b)
		}
	}
	slices.SortFunc(shared, func(a, b *routedBackend) int { return cmp.Compare(a.name, b.name) })
	for _, b := range shared {
		var others []string
		for _, o := range shared {
			if o.owner != b.owner {
				others = append(others, o.name)
			}
		}
		if len(others) > 0 {
			rt.warnings = append(rt.warnings, config.At(b.conf.Isolation.Origin,
				"isolation: path puts backend %q (owner %s) under one origin with %s of other owners, and script of each can act in the name of all; write isolation: host",
				b.name, ownerText(rt, b.owner), strings.Join(others[:min(len(others), 5)], ", ")))
		}
	}
	var first *config.Text
	for i := range cfg.Root.Listen {
		d := &cfg.Root.Listen[i].Default
		if d.V == "" {
			continue
		}
		if first != nil && first.V != d.V {
			rt.warnings = append(rt.warnings, config.At(d.Origin,
				"default backends %q and %q of two listeners share cookies if clients reach both under one host name: browsers do not keep ports apart; give them hosts of their own",
				first.V, d.V))
		}
		first = d
	}
}

func ownerText(rt *routes, owner registry.AreaID) string {
	if ars := rt.areas.ARS(owner).String(); ars != "" {
		return ars
	}
	return "00"
}
