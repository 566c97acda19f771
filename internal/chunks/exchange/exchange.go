// Package exchange is the language between those who decide and those who carry out: events
// tell what has happened, actions what is to be done.
//
// Who decides ([fanout/peerd/swarm] for a download, [fanout/origin/handout] for a published
// file) is a pure state machine: it is told the time with every event, and does nothing but
// return actions. Who carries out is a daemon's loop over real sessions, or the virtual lab
// over modelled ones; both run the same decisions.
//
// It must not know connections, files, clocks, or how anything is decided.
package exchange

import (
	"time"

	"fanout/internal/chunks/wire"
)

// ID names a session; no two of a daemon have the same.
type ID uint64

// Event is something that has happened. Those of one session come in the order Opened, any
// others, Closed.
type Event interface{ event() }

type (
	// Opened tells of a session whose handshake is done.
	Opened struct {
		ID   ID
		Peer string // the other side's peer ID
		// Address is what was dialled for it; empty if the other side has dialled.
		Address string
		// Version is the protocol's that both sides speak. What came later is not to be said.
		Version int
	}
	// Got tells of a message: any but DATA, PING, PONG, ERR and BYE.
	Got struct {
		From    ID
		Message wire.Message
		Payload []byte // of BITS, of the length that the manifest demands
	}
	// Landed tells what became of a chunk that has come.
	Landed struct {
		From  ID // 0 if that is not known
		Chunk int
		Fresh bool          // false for one that was held already
		Took  time.Duration // from the DATA line to the verified, stored chunk
		// Err is manifest.ErrDigest for wrong bytes, or the error of the store; nil otherwise.
		Err error
	}
	// Sent tells that a chunk that was to be uploaded has been sent; wire.NoChunk if there
	// was none to hand out.
	Sent struct {
		To    ID
		Chunk int
	}
	// Withdrawn tells that an upload was taken back before it began.
	Withdrawn struct {
		To    ID
		Chunk int
	}
	// Received tells when payload has last come from the other side, whole chunk or not. It
	// need not be told more often than Tick.
	Received struct {
		From ID
		At   time.Time
	}
	// Closed tells that a session has ended, and why; nil if this side has closed it, and a
	// *wire.Bye if the other side needs it no more.
	Closed struct {
		ID  ID
		Err error
	}
	// NotDialled tells that a dial has not led to a session.
	NotDialled struct {
		Address string
		Err     error
	}
	// Answered is the tracker's answer to Announce.
	Answered struct {
		Origins, Peers []Contact
		Interval       time.Duration // when to announce again
	}
	// NotAnswered tells that Announce has failed.
	NotAnswered struct {
		// Withdrawn says that the tracker wants to hear no more of the file.
		Withdrawn bool
	}
	// Lent tells that what is being sent to a session goes so slowly that it is not this side's
	// uplink which holds it up. Others are sent to meanwhile.
	Lent struct{ To ID }
	// Spare tells that the daemon's uplink has room for so many sends more than wait, beside so
	// many that use it. It is told after each of them, and while it stays so with every Tick.
	Spare struct{ Sends, Busy int }
	// Wanted tells that the tracker should hear of this download: something has changed, or,
	// if Asked, it has asked, also for a file that had been withdrawn.
	Wanted struct{ Asked bool }
	// Tick tells that some time has passed.
	Tick struct{}
)

func (Opened) event()      {}
func (Got) event()         {}
func (Landed) event()      {}
func (Sent) event()        {}
func (Withdrawn) event()   {}
func (Received) event()    {}
func (Closed) event()      {}
func (NotDialled) event()  {}
func (Answered) event()    {}
func (NotAnswered) event() {}
func (Lent) event()        {}
func (Spare) event()       {}
func (Wanted) event()      {}
func (Tick) event()        {}

// Contact is a daemon that can be dialled.
type Contact struct{ ID, Address string }

// Action is something to be done.
type Action interface{ action() }

type (
	// Send has a control line sent; a HAVE that may wait for company is told by Tell.
	Send struct {
		To    ID
		Kind  wire.Kind
		Chunk int
		// Amount is the bytes of ROOM, and the milliseconds of PASS.
		Amount int
	}
	// Tell has HAVE sent to all of To but one.
	Tell struct {
		To    []ID // not to be changed
		But   ID   // 0 for nobody
		Chunk int
		// Later says that the line may wait some milliseconds for company.
		Later bool
	}
	// SendBits has the bitmap of what is held sent.
	SendBits struct{ To ID }
	// Upload has a chunk queued to be sent when the session's turn comes.
	Upload struct {
		To    ID
		Chunk int
	}
	// HandOut has a chunk queued that is chosen when the session's turn comes.
	HandOut struct{ To ID }
	// Withdraw has an upload taken back, unless it has begun. If it has not, Withdrawn follows.
	Withdraw struct {
		To    ID
		Chunk int
	}
	// Fail has the other side told what it did wrong, and the session ended.
	Fail struct {
		To   ID
		Code string // one of the wire package's
		Err  error
	}
	// Close has a session ended.
	Close struct{ ID ID }
	// Bye has a session ended that neither side needs for so long, which is no failure: the other
	// side is told not to dial before. It is Close where the other side does not know BYE.
	Bye struct {
		ID  ID
		For time.Duration
	}
	// Dial has a session opened; Opened or NotDialled follows.
	Dial struct {
		Address string
		Origin  bool
	}
	// Announce has the tracker told how the download stands; Answered or NotAnswered follows.
	Announce struct{}
	// Own notes that this download has brought a chunk from the origin for the others.
	Own struct{ Chunk int }
	// Distrust notes that a daemon has sent wrong bytes.
	Distrust struct {
		Peer   string
		Origin bool
		Chunk  int
	}
	// Complete notes that everything is here. It comes once.
	Complete struct{}
	// GiveUp ends the download for a reason that trying again will not mend by itself.
	GiveUp struct{ Err error }
)

func (Send) action()     {}
func (Tell) action()     {}
func (SendBits) action() {}
func (Upload) action()   {}
func (HandOut) action()  {}
func (Withdraw) action() {}
func (Fail) action()     {}
func (Close) action()    {}
func (Bye) action()      {}
func (Dial) action()     {}
func (Announce) action() {}
func (Own) action()      {}
func (Distrust) action() {}
func (Complete) action() {}
func (GiveUp) action()   {}
