package chunkserver

// KeepSlot has the next send of a session keep its slot however slow it is.
func KeepSlot(s *Session) { s.server.uploader.hold(s, true) }
