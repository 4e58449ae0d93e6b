// SPDX-License-Identifier: EUPL-1.2

// Package loop is the reactor: one OS thread with its own epoll, timer wheel, mailbox and buffers.
//
// The two calls to know: [Loop.Run] turns the wheel until it is stopped, and [Loop.Post] hands it work from any
// goroutine. Sockets are [Stream]s; whoever drives one implements [Owner] and is called on the loop's thread only, so
// nothing here is locked. The kernel is reached through [Kernel] alone: the real one is [NewKernel], simulated ones
// live in simsys.
//
// What a turn writes it gives to the kernel at its end: one call for each stream, however many pieces there were. If a
// request on an idle connection is among it, there is another look before, and it is not sent to a backend that has spoken
// meanwhile ([Stream.Guard]). A loop with nothing to do sleeps in the kernel, after a short look where that has paid of late: what it
// sends wakes others, what it waits for wakes it, and between two busy ends that costs more than the requests do.
//
// What it deliberately does not do: know any protocol, block, allocate per event, or hand buffers across a wake-up
// (bytes in the shared read buffer are valid until the dispatch returns).
package loop
