package httpkit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fanout/internal/daemon/httpkit"
)

func TestCheckListen(t *testing.T) {
	for _, c := range []struct {
		addr     string
		insecure bool
		want     string // part of the error, "" for none
	}{
		{"127.0.0.1:0", false, ""},
		{"127.7.7.7:80", false, ""},
		{"[::1]:80", false, ""},
		{"localhost:80", false, ""},
		{":2680", false, "--insecure"},
		{"0.0.0.0:2680", false, "--insecure"},
		{"[::]:2680", false, "--insecure"},
		{"10.0.0.1:2680", false, "listen on 127.0.0.1:2680"},
		{"0.0.0.0:2680", true, ""},
		{"127.0.0.1", false, "give host:port"},
		{"127.0.0.1:port", true, "--listen"},
		{"127.0.0.1:99999", true, "invalid port"},
		{"", true, "give host:port"},
		{"127.0.0.1:", true, "give host:port"},
		{"0.0.0.0:", true, "give host:port"},
		{"2680", true, "give host:port"},
	} {
		err := httpkit.CheckListen("--listen", c.addr, c.insecure)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s insecure=%v: %v, want …%s…", c.addr, c.insecure, err, c.want)
		}
	}
	if err := httpkit.CheckListen("--listen", ":1", false); !errors.Is(err, httpkit.ErrNotLoopback) {
		t.Error("not ErrNotLoopback:", err)
	}
}

func TestListenOnAPortInUse(t *testing.T) {
	ln, err := httpkit.Listen("--http", "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = httpkit.Listen("--http", ln.Addr().String(), false)
	if err == nil || !strings.Contains(err.Error(), "--http "+ln.Addr().String()) || strings.Contains(err.Error(), "bind") {
		t.Error(err)
	}
}

// Stopping ends event streams at once, and cuts handlers that ignore their context.
func TestServeStops(t *testing.T) {
	over := make(chan struct{})
	for _, c := range []struct {
		what    string
		timeout time.Duration
		handler func(r *http.Request)
		want    string
	}{
		{"stream", time.Hour, func(r *http.Request) { <-r.Context().Done() }, ""},
		{"deaf handler", 50 * time.Millisecond, func(r *http.Request) { <-over }, "still running after 50ms"},
	} {
		t.Run(c.what, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			inside := make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { close(inside); c.handler(r) })
			done := make(chan error, 1)
			go func() { done <- httpkit.Serve(ctx, ln, h, c.timeout) }()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			go func() {
				if resp, err := client.Get(fmt.Sprint("http://", ln.Addr())); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			<-inside
			cancel()
			if err := <-done; (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serve: %v, want %q", err, c.want)
			}
		})
	}
	close(over) // the deaf handler ends after Serve
}

// A connection on which nothing is asked does not hold up a daemon's end.
func TestServeStopsWithUnusedConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() { done <- httpkit.Serve(ctx, ln, ok, httpkit.DefaultShutdownTimeout) }()
	unused, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprint("http://", ln.Addr())) // accepted after the unused one
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
