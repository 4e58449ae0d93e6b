// SPDX-License-Identifier: EUPL-1.2

// Package config holds the schema of pvgate's configuration, its defaults and
// the strict loader that turns files into it.
//
// A configuration is pvgate.yaml (how to run) and routes.d/**.yaml beside it
// (where things go). The calls you want are [Load], which returns the
// configuration together with every error it found, and [NewWatcher], which
// tells when the files changed. [Reference] and [Starter] give the documents made
// from the same schema, [Config.Settings] the effective values with their
// origins.
//
// The package knows the shape of the configuration and nothing of its meaning:
// it imports none of pvgate's packages, opens no source and knows no area. What
// needs the registry (areas, Leistungen, times, templates) stays text with a
// position here and is judged by cmd/pvgate/build_routing.go, which reports its
// findings with [At] and so in the same form.
//
// Deliberately absent: includes, anchors, merge keys, templating of the
// configuration, remote configuration, and secrets (only paths to them may ever
// stand here).
package config
