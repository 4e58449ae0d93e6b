// SPDX-License-Identifier: EUPL-1.2

// Package gateway is the data plane: it wires loops, connections, exchanges and upstreams into a [Server].
//
// The calls you want: [Start] with the first [Snapshot], [Server.Swap] at each reload, [Server.Drain] at the end, and
// [Server.Stats] for what /metrics and status show. It is the only package of the data plane that a command uses,
// besides admin.
//
// It deliberately reads no configuration and decides no route: a [Snapshot] brings both, built and checked.
package gateway
