// Package patience says how long a test waits for what must happen: until shortly before the
// test binary is killed (go test -timeout), and for ever where it is not. A limit of a test's
// own would fail it for the speed of the machine. What hangs in spite of it is shown: all
// goroutines, and what a test has asked for with OnHang.
package patience

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"sync"
	"testing"
	"time"
)

const (
	// reserve is kept of the time for saying what hangs, and for stopping it.
	reserve = 30 * time.Second
	// lookEach is the pause between two looks of Await.
	lookEach = 10 * time.Millisecond
)

// Deadline is when a test must give up. The zero time, with which connections have no
// deadline, is never.
func Deadline(t testing.TB) time.Time {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return time.Time{}
	}
	end, ok := limited.Deadline()
	if !ok {
		return time.Time{}
	}
	return end.Add(-min(reserve, max(0, time.Until(end)/4)))
}

// Context is the test's, and ends when the test must give up.
func Context(t testing.TB) context.Context {
	end := Deadline(t)
	if end.IsZero() {
		return t.Context()
	}
	ctx, cancel := context.WithDeadline(t.Context(), end)
	t.Cleanup(cancel)
	context.AfterFunc(ctx, func() {
		if ctx.Err() == context.DeadlineExceeded {
			goroutines()
		}
	})
	return ctx
}

// Await waits until something is so. What it is stands in the message, should it never come.
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	ctx := Context(t)
	for !so() {
		select {
		case <-ctx.Done():
			goroutines()
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(lookEach):
		}
	}
}

// OnHang has show called, once all goroutines have been printed, when the test must give up.
// It is called beside the test, which may be where no context reaches it.
func OnHang(t testing.TB, show func()) {
	end := Deadline(t)
	if end.IsZero() {
		return
	}
	shown := make(chan struct{})
	timer := time.AfterFunc(time.Until(end), func() {
		defer close(shown)
		fmt.Fprintf(os.Stderr, "--- %s hangs\n", t.Name())
		goroutines()
		show()
	})
	t.Cleanup(func() {
		if !timer.Stop() {
			<-shown
		}
	})
}

// goroutines prints the stacks of all, the first time.
var goroutines = sync.OnceFunc(func() { pprof.Lookup("goroutine").WriteTo(os.Stderr, 2) })
