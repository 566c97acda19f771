package chunkserver

// Congestion is the congestion control of what a session sends.
func Congestion(s *Session) (string, error) {
	_, name, err := tcpPath{s.conn}.measure()
	return name, err
}

// SetCongestion changes it behind the session's back.
func SetCongestion(s *Session, name string) error { return tcpPath{s.conn}.use(name) }
