// SPDX-License-Identifier: EUPL-1.2

// Package loop is the reactor: one OS thread with its own epoll, timer wheel, mailbox and buffers.
//
// The two calls to know: [Loop.Run] turns the wheel until it is stopped, and [Loop.Post] hands it work from any
// goroutine. Sockets are [Stream]s; whoever drives one implements [Owner] and is called on the loop's thread only, so
// nothing here is locked. The kernel is reached through [Kernel] alone: the real one is [NewKernel], simulated ones
// live in simsys.
//
// What it deliberately does not do: know any protocol, block, allocate per event, or hand buffers across a wake-up
// (bytes in the shared read buffer are valid until the dispatch returns).
package loop
