package httpkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultShutdownTimeout is how long requests may take to end once a daemon stops.
const DefaultShutdownTimeout = 5 * time.Second

// Serve answers requests on ln until ctx ends, then stops accepting, cancels the context of
// every request, so that event streams end, and waits for the handlers up to
// shutdownTimeout. It closes ln. A shutdown that is complete in time is no error. Connections
// on which nothing has been asked, as browsers and pools keep them ready, are not waited for.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, shutdownTimeout time.Duration) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(l net.Listener) context.Context { return withListener(ctx, l) },
		// `OPTIONS *` is a call that does not exist, as any other.
		DisableGeneralOptionsHandler: true,
		// What net/http would print is about one client's broken connection; panics are
		// logged by Daemon.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	var unused unusedConns
	srv.ConnState = unused.note
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	unused.close() // which Shutdown takes for busy, for 5 s
	err := srv.Shutdown(bounded)
	if err != nil {
		_ = srv.Close() // the remaining connections are cut
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), serveErr)
	}
	if err != nil {
		return fmt.Errorf("shut down HTTP on %s: requests still running after %s", ln.Addr(), shutdownTimeout)
	}
	return nil
}

// unusedConns are the connections on which no byte has come yet.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// note is the server's ConnState.
func (u *unusedConns) note(c net.Conn, s http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case s != http.StateNew:
		delete(u.conns, c)
	case u.closed:
		c.Close()
	case u.conns == nil:
		u.conns = map[net.Conn]struct{}{c: {}}
	default:
		u.conns[c] = struct{}{}
	}
}

// close closes them, and those that are accepted from now on.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.conns {
		c.Close()
	}
}
