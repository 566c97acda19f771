// Package faultline is a bad network for tests: a TCP relay on loopback, to stand between daemons
// that know nothing of it, and that needs no root. A daemon advertises the address of a Line, and
// the Line dials the daemon; what it does to the bytes on the way is set for each direction, at the
// start or while connections run.
//
//	line := faultline.Start(t, faultline.Seed(t))
//	origin := f.Origin("origin", files, "--advertise", line.Address())
//	fleettest.Start(t, origin)
//	line.To(origin.ChunkAddress())
//	line.Set(faultline.FromTarget, faultline.Faults{Delay: 20 * time.Millisecond, Rate: 1 << 20})
//
// It differs from its neighbours in what it knows and whom it harms. It knows no protocol and sees
// bytes alone, which is why package valve stays beside it: a valve lets every peer have so many
// bytes, over all its sessions, and so reads who says HELLO. Command line is the delay and the loss
// of single frames between the lab's hosts, needs root and TAP devices, and breaks nothing that TCP
// would not mend; here TCP itself is what fails. Command liar is a peer of its own, with a lie in
// its protocol; behind a Line, peers are honest.
//
// # What is repeatable
//
// The test's log has the seed, and FAULTLINE_SEED gives it again. All chance comes from it, apart for
// each direction of every connection, in the order in which they are accepted. Which bytes are
// corrupted, and how, depends on nothing else than how many bytes a connection had passed when that
// was set. Jitter is drawn for every piece as it is read, and where pieces part is up to the kernel
// and the machine.
//
// # What is bounded
//
// At most 32 pieces of 16 KiB wait in a Line for each direction of a connection, and little in the
// sockets, so that a sender feels what the receiver does not get. So a delay bounds the rate, too,
// as it does behind a small TCP window: to 512 KiB in each delay.
package faultline
