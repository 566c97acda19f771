package trackerclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/manifestjson"
)

const (
	dialTimeout = 3 * time.Second
	callTimeout = 10 * time.Second // small requests and answers
	bulkTimeout = 2 * time.Minute  // manifests and tables, up to tens of megabytes

	// maxAnswer is how much is read of an answer, but for a table, which is read by lines:
	// there is room for the manifest of MaxChunks, 67 bytes each.
	maxAnswer = 72 * manifest.MaxChunks
)

// Client calls one tracker. It is safe for concurrent use.
type Client struct {
	url       string
	api       *trackerapi.ClientWithResponses
	transport *http.Transport
}

// New makes a client of the tracker at address, a URL or host:port. It does not connect.
func New(address string) (*Client, error) {
	base := address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("--tracker %q: give a URL such as http://10.0.0.1:2680", address)
	}
	shown := u.Redacted()
	transport := &http.Transport{
		Proxy:               httpkit.Proxy(),
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute, // longer than the interval of announces

		OnProxyConnectResponse: proxied,
	}
	api, err := trackerapi.NewClientWithResponses(base, trackerapi.WithHTTPClient(&http.Client{Transport: judge{transport, shown}, CheckRedirect: moved}))
	if err != nil {
		return nil, fmt.Errorf("--tracker %q: %w", shown, err)
	}
	return &Client{url: shown, api: api, transport: transport}, nil
}

// judge bounds the answers, and lets no refusal pass that is not a tracker's.
type judge struct {
	http.RoundTripper
	tracker string // its URL
}

// RoundTrip implements http.RoundTripper.
func (j judge) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := j.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	kind := answer.Header.Get("Content-Type")
	if answer.StatusCode >= 400 && !strings.HasPrefix(kind, problemType) {
		return nil, errors.Join(foreign(j.tracker, answer.StatusCode), answer.Body.Close())
	}
	if !strings.HasPrefix(kind, trackerfile.MediaType) {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, nil
}

// URL of the tracker, without a password.
func (c *Client) URL() string { return c.url }

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Publish makes the manifest's name stand for it and registers the origin. id must be m.ID().
func (c *Client) Publish(ctx context.Context, m *manifest.Manifest, id manifest.ID, origin trackerapi.Origin) (*trackerapi.Published, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	r, err := c.api.PublishFileWithResponse(ctx, m.Name, trackerapi.Publication{
		Manifest: manifestjson.From(m, id), Origin: origin,
	})
	var p *trackerapi.Published
	if err == nil {
		if p = r.JSON201; p == nil {
			p = r.JSON200
		}
	}
	if err := c.check(r, err, p != nil); err != nil {
		return nil, fmt.Errorf("publish %q: %w", m.Name, err)
	}
	return p, nil
}

// Announce reports to the swarm of a file, given by name or manifest ID, and renews the
// lease. ErrNotFound: the tracker does not know the file; ErrGone: it was withdrawn.
func (c *Client) Announce(ctx context.Context, file string, a trackerapi.Announce) (*trackerapi.AnnounceReply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.AnnounceWithResponse(ctx, file, a)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("announce %q: %w", file, err)
	}
	return r.JSON200, nil
}

// File looks a file up by name or manifest ID. ErrNotFound, ErrGone.
func (c *Client) File(ctx context.Context, file string) (*trackerapi.File, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.GetFileWithResponse(ctx, file)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("look up %q: %w", file, err)
	}
	return r.JSON200, nil
}

// Manifest fetches the manifest of a file, given by name or manifest ID. It is valid and has
// the ID returned; asked for by ID, it is that one, or the error is manifestjson.ErrID.
func (c *Client) Manifest(ctx context.Context, file string) (*manifest.Manifest, manifest.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	r, err := c.api.GetManifestWithResponse(ctx, file)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, manifest.ID{}, fmt.Errorf("manifest of %q: %w", file, err)
	}
	m, id, err := manifestjson.Parse(*r.JSON200)
	if err != nil {
		return nil, manifest.ID{}, fmt.Errorf("manifest of %q: %w: %w", file, ErrForeign, err)
	}
	if want, err := manifest.ParseID(file); err == nil && want != id {
		return nil, manifest.ID{}, fmt.Errorf("manifest of %q: %w: it is %s", file, manifestjson.ErrID, id)
	}
	return m, id, nil
}

// Table fetches the tracker file of a file with that many chunks: the chunk address of the
// owner of every chunk. Errors: ErrNotFound, an *Error with status 409 while no peer is
// registered, trackerfile.ErrMalformed.
func (c *Client) Table(ctx context.Context, file string, chunks int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	accept := trackerfile.MediaType
	r, err := c.api.GetChunks(ctx, file, &trackerapi.GetChunksParams{Accept: &accept})
	if err != nil {
		return nil, fmt.Errorf("table of %q: %w", file, c.unreachable(err))
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("table of %q: %w", file, c.readProblem(r))
	}
	entries, err := trackerfile.Parse(r.Body, chunks)
	if err != nil {
		if !errors.Is(err, trackerfile.ErrMalformed) {
			err = c.unreachable(err)
		}
		return nil, fmt.Errorf("table of %q: %w", file, err)
	}
	owners := make([]string, chunks)
	for i, e := range entries {
		owners[i] = e.Owner
	}
	return owners, nil
}

// Register enters a peer into the fleet, or renews its lease.
func (c *Client) Register(ctx context.Context, id string, reg trackerapi.Registration) (*trackerapi.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.RegisterPeerWithResponse(ctx, id, reg)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("register peer %s: %w", id, err)
	}
	return r.JSON200, nil
}

// Unregister takes a peer out of the fleet and every swarm, unless another instance than the
// one given has its ID.
func (c *Client) Unregister(ctx context.Context, id string, instance *string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.UnregisterPeerWithResponse(ctx, id, &trackerapi.UnregisterPeerParams{Instance: instance})
	if err := c.check(r, err, err == nil && r.StatusCode() == http.StatusNoContent); err != nil {
		return fmt.Errorf("unregister peer %s: %w", id, err)
	}
	return nil
}

func (c *Client) readProblem(r *http.Response) error {
	var p trackerapi.Problem
	body := io.LimitReader(r.Body, 1<<20)
	if json.NewDecoder(body).Decode(&p) == nil && p.Status >= 400 {
		return problem(p)
	}
	return foreign(c.url, r.StatusCode)
}

// unreachable wraps what the HTTP client says, without the URL that it repeats.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var refused *Error
	if errors.As(err, &refused) {
		return refused // by what was asked on the way
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return fmt.Errorf("%w: %s answered more than %d bytes, %w: check the address", ErrUnreachable, c.url, long.Limit, ErrForeign)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		return fmt.Errorf("%w at %s by the proxy that HTTP_PROXY or HTTPS_PROXY names (%w): correct it, or name the tracker in NO_PROXY", ErrUnreachable, c.url, op.Err)
	}
	if isNoAnswer(err) {
		return fmt.Errorf("%w: %s answered something else (%w), %w: check the address", ErrUnreachable, c.url, err, ErrForeign)
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.url, err)
}
