//go:build !linux

package chunkserver

import (
	"errors"
	"net"
	"time"
)

// tcpPath knows nothing of a connection's path.
type tcpPath struct{ conn *net.TCPConn }

func (tcpPath) measure() (time.Duration, string, error) { return 0, "", errors.ErrUnsupported }

func (tcpPath) use(string) error { return errors.ErrUnsupported }
