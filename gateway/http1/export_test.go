// SPDX-License-Identifier: EUPL-1.2

package http1

// Strict tells the tests outside the package which build this is.
const Strict = strict
