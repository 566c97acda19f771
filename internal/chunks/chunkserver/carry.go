package chunkserver

import (
	"fmt"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// Carry carries out an action that is for this session; of a Tell, the session's own part. It
// returns the event that follows at once, nil if none does. A session that asks for more than
// [Limits].Requests is failed. What the session's version does not have is not said. An action that
// is no session's (Dial, say) makes it panic.
func (s *Session) Carry(a exchange.Action) (follows exchange.Event) {
	var tooMany error
	switch a := a.(type) {
	case exchange.Send:
		s.say(line(a))
	case exchange.Tell:
		if a.Later {
			s.SendLater(wire.KindHave, a.Chunk)
		} else {
			s.Send(wire.KindHave, a.Chunk)
		}
	case exchange.SendBits:
		s.SendBits()
	case exchange.Upload:
		tooMany = s.Upload(a.Chunk)
	case exchange.HandOut:
		tooMany = s.Upload(room.Any)
	case exchange.Withdraw:
		if s.CancelUpload(a.Chunk) {
			return exchange.Withdrawn{To: s.id, Chunk: a.Chunk}
		}
	case exchange.Fail:
		s.Fail(a.Code, a.Err)
	case exchange.Bye:
		s.Bye(a.For)
	case exchange.Close:
		s.Close()
	default:
		panic(fmt.Sprintf("%T is not for a session to carry out", a))
	}
	if tooMany != nil {
		s.Fail(wire.CodeTooMany, tooMany)
	}
	return nil
}

// line is the message of a Send.
func line(a exchange.Send) wire.Message {
	m := wire.Message{Kind: a.Kind, Chunk: a.Chunk}
	switch a.Kind {
	case wire.KindRoom:
		m.Bytes = a.Amount
	case wire.KindPass:
		m.Chunk, m.Wait = 0, a.Amount
	}
	return m
}
