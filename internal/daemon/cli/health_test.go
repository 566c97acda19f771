package cli_test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fanout/internal/daemon/cli"
)

func TestHealth(t *testing.T) {
	ready := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(`{"detail":"not registered at the tracker yet"}`))
		}
	}))
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} { // the last two are listened on, not dialled
		var out bytes.Buffer
		if err := cli.Health(t.Context(), &out, "--http", net.JoinHostPort(host, port)); err != nil || out.String() != "ready\n" {
			t.Errorf("%q: %q, %v", host, &out, err)
		}
	}
	ready = false
	wants(t, srv.Listener.Addr().String(), "not registered at the tracker yet")
	srv.Close()
	wants(t, srv.Listener.Addr().String(), "refused")
	wants(t, "2680", `--http "2680": address 2680: missing port in address; give host:port`)
}

func wants(t *testing.T, address, text string) {
	t.Helper()
	var out bytes.Buffer
	if err := cli.Health(t.Context(), &out, "--http", address); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("health of %s: %v, want one with %q", address, err, text)
	}
}
