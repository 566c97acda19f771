//go:build linux

// Command line is the delay and the loss of the lab's links, on kernels without netem. It
// holds both ends of every link, each a TAP device, and carries frames from one to the other:
// every frame is on the way for the same time, and some never arrive.
//
// It reads one line from stdin, a JSON array of links, [{"a":{"pid":7,"name":"h1-eth0"},
// "b":{"name":"s1-eth1"}}, …], where pid is a process in the network namespace of the
// device, and none means the line's own. It says "ready" once all are attached. Every further
// line asks for a report, a JSON object with what happened since the last one. The end of
// stdin, or SIGTERM, ends it, with a report.
//
// What TCP sends together is one frame, as on a veth pair: carrying every segment for itself
// takes several times the CPU, most of it in the kernel. Losses are of single segments all the
// same; a burst that loses some goes on in parts.
//
// Rates are not its business: a shaper on each TAP's egress sees to them. What is its business
// is to be on time, and to say when it was not; see report.
//
// All links have one delay, so that frames leave in the order in which they came, whatever
// link they are on: a loop has one queue and one timer. It waits in epoll, not in Go's poller:
// at one frame a read, handing each to a goroutine costs more than carrying it.
package main
