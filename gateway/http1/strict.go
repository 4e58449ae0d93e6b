// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import "github.com/pvgate/pvgate/gateway/message"

// strict is true in every build that is meant to run. See lenient.go.
const strict = true

func lenientFieldLine([]byte, *message.Field) (int, cause) { return 0, causeBadName }

func lenientRequestLine([]byte, *message.Head) (int, cause) { return 0, causeBadMethod }
