// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"

	"github.com/pvgate/pvgate/config"
)

// loadDemo reads the demo's configuration.
func loadDemo() (*config.Config, error) { return nil, errors.New("the demo is not built yet") }
