// Package fleet runs real fanout daemons — the binaries tracker, origin and peerd — as
// processes on loopback, for the demonstration, benchmarks and end-to-end tests.
//
//	f, err := fleet.New(fleet.Config{Dir: dir, Binaries: fleet.In("bin")})
//	defer f.Close()
//	tracker := f.Tracker("--data-dir", filepath.Join(dir, "tracker-data"))
//	err = tracker.Start(ctx)                         // runs, and answers /readyz
//	origin := f.Origin("origin", []string{"/data/image.iso"})
//	err = origin.Start(ctx)                          // the file is published
//	peer := f.Peer("peer-1", "--max-upload", "25MB")
//	err = peer.Start(ctx)                            // registered at the tracker
//	d, err := peer.Download(ctx, peerapi.DownloadRequest{File: "image.iso"})
//	d, err = peer.Wait(ctx, d.Id)                    // complete, failed or cancelled
//
// A daemon's life: Start (Launch and then Ready), Stop (SIGTERM, bounded), Kill (SIGKILL),
// Restart (the same arguments and addresses); all may be repeated. Addresses are known
// after the first Launch. What a daemon prints is appended to Dir/NAME.log, and quoted by
// the errors of this package; what a peer downloads is below Dir/NAME.
//
// Whatever was started ends with [Fleet.Close] and, on Linux, also when the process that
// started it dies without calling it.
//
// Ports are chosen at random below the kernel's ephemeral range, so that no outgoing
// connection can take the port of a daemon that is down for a restart; should another
// process be faster at a first launch, other ports are tried.
//
// It must not know the daemons' code, only their binaries, flags and HTTP interfaces, and
// it must not import testing: package fleettest does.
package fleet
