package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/oneline"
)

// healthTimeout bounds the question whether a daemon is ready.
const healthTimeout = 3 * time.Second

// Health asks the daemon at an address, which may be a wildcard that it listens on, whether
// it is ready; an error says why it is not. flag is what gave the address. It is for container
// engines: an image of ours has no curl.
func Health(ctx context.Context, out io.Writer, flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q: %w; give host:port", flag, address, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/readyz"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := httpkit.LocalClient().Do(r)
	if err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		json.NewDecoder(io.LimitReader(answer.Body, 4096)).Decode(&problem) // it only explains
		return fmt.Errorf("not ready: %s: %s", answer.Status, oneline.Of(problem.Detail, oneline.Max))
	}
	_, err = io.WriteString(out, "ready\n")
	return err
}
