// SPDX-License-Identifier: EUPL-1.2

package xzufi

// MaxID bounds each text of an [ID], in bytes.
const MaxID = 256
