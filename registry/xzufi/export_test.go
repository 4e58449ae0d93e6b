// SPDX-License-Identifier: EUPL-1.2

package xzufi

// WithWindow reads n bytes at a time, so that a short message crosses the window's end often.
func (o Options) WithWindow(n int) Options {
	o.window = n
	return o
}
