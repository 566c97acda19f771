package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/oneline"
	"fanout/internal/daemon/progress"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/daemon/units"
	"fanout/peerd/node"
)

// lookEvery is the pause between two looks at the download.
const lookEvery = 200 * time.Millisecond

type get struct {
	File        string        `arg:"" help:"File name at the tracker, or manifest ID."`
	Tracker     string        `required:"" placeholder:"URL" help:"The tracker, such as http://127.0.0.1:2680."`
	Output      string        `short:"o" env:"-" type:"path" placeholder:"PATH" help:"Where to put the file: a path, or a directory (the file's name, here). What is there is replaced when the whole file has been verified."`
	SeedFor     time.Duration `placeholder:"DURATION" help:"Go on serving for so long after the file is complete, such as 10m."`
	Strategy    string        `default:"swarm" enum:"direct,static,swarm" help:"direct, static or swarm (${default})."`
	SHA256      string        `name:"sha256" env:"-" placeholder:"HEX" help:"SHA-256 that the whole file must have."`
	JSON        bool          `name:"json" help:"Print the download as JSON at the end."`
	Listen      string        `default:"127.0.0.1:0" env:"-" placeholder:"HOST:PORT" help:"Where to serve chunks (${default}, port 0 is any)."`
	HTTP        string        `name:"http" default:"127.0.0.1:0" env:"-" placeholder:"HOST:PORT" help:"Where to serve the REST interface and metrics (${default})."`
	Advertise   string        `placeholder:"HOST:PORT" help:"Chunk address that other peers dial, if it is not --listen."`
	MaxUpload   units.Rate    `placeholder:"RATE" help:"Upload limit, such as 100Mbit or 25MB (unlimited)."`
	MaxDownload units.Rate    `placeholder:"RATE" help:"Download limit (unlimited)."`
	Insecure    bool          `help:"Allow listening beyond loopback without authentication."`
	LogLevel    string        `placeholder:"LEVEL" env:"-" help:"Log to stderr: debug, info, warn or error (nothing)."`
}

// Help explains what happens to a get that ends early.
func (*get) Help() string {
	return `While it runs, it serves what it has to other peers; it listens on loopback only unless --listen says otherwise, but also peers that it dials get chunks from it. ` +
		`Until the file is complete, it is kept beside the output in the directory .NAME.fanout; the same command then goes on where the last one stopped. ` +
		carried +
		`Exit code 0: the verified file is at its place.`
}

// Run implements the command.
func (c *get) Run(ctx context.Context, stdout io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	tracker, err := trackerclient.New(c.Tracker)
	if err != nil {
		return err
	}
	defer tracker.Close()
	file, err := tracker.File(ctx, c.File)
	if err != nil {
		return err
	}
	if err := manifest.ValidateName(file.Name); err != nil { // it becomes a path
		return fmt.Errorf("the tracker's answer: %w", err)
	}
	output, err := outputPath(c.Output, file.Name)
	if err != nil {
		return err
	}
	left, err := checkOwnDir(output)
	if err != nil {
		return err
	}
	f := &fetch{get: c, file: file, output: output, stdout: stdout, goesOn: left}
	cfg, err := c.config(ctx, tracker, output)
	if err != nil {
		return err
	}
	n, err := node.New(cfg)
	if errors.Is(err, node.ErrInUse) {
		return fmt.Errorf("%s: another peerd get is fetching it already: wait for that one, or give another --output", output)
	}
	if err != nil {
		return err
	}
	if f.peer, err = peerapi.NewClientWithResponses("http://"+dialable(cfg.HTTP.Addr()), peerapi.WithHTTPClient(httpkit.LocalClient())); err != nil {
		return err
	}
	return f.run(ctx, n)
}

// check refuses values before anything is made.
func (c *get) check() error {
	switch _, err := hex.DecodeString(c.SHA256); {
	case c.SHA256 != "" && (err != nil || len(c.SHA256) != 2*sha256.Size):
		return fmt.Errorf("--sha256 %q: give %d hexadecimal digits", c.SHA256, 2*sha256.Size)
	case c.SeedFor < 0:
		return fmt.Errorf("--seed-for %s: give a duration that is not negative", c.SeedFor)
	case c.Output == "-":
		return errors.New("--output -: give a path; a file of that name is ./-")
	}
	return nil
}

func (c *get) config(ctx context.Context, tracker *trackerclient.Client, output string) (cfg node.Config, err error) {
	cfg = node.Config{
		DataDir: filepath.Dir(output), OwnDir: ownDir(output), Replace: true, MaxUpload: int64(c.MaxUpload), MaxDownload: int64(c.MaxDownload),
		Registry: prometheus.NewRegistry(), Tracker: tracker, Logger: zerolog.Nop(),
	}
	if c.LogLevel != "" {
		if cfg.Logger, err = httpkit.NewLogger(os.Stderr, c.LogLevel, "peerd"); err != nil {
			return cfg, err
		}
	}
	if cfg.Chunks, err = httpkit.Listen("--listen", c.Listen, c.Insecure); err != nil {
		return cfg, err
	}
	if cfg.HTTP, err = httpkit.Listen("--http", c.HTTP, c.Insecure); err != nil {
		return cfg, err
	}
	return advertise(ctx, cfg, httpkit.Listening{ListenFlag: c.Listen, HTTPFlag: c.HTTP, Advertise: c.Advertise})
}

// outputPath is where the file shall be in the end.
func outputPath(given, name string) (string, error) {
	if err := cli.UTF8Path("--output", given); err != nil {
		return "", err
	}
	path := given
	switch info, err := os.Stat(given); {
	case given == "":
		path = name
	case err == nil && info.IsDir():
		path = filepath.Join(given, name)
	case given[len(given)-1] == filepath.Separator:
		return "", fmt.Errorf("--output %s: there is no such directory: create it first", given)
	}
	path, err := filepath.Abs(path)
	if err == nil {
		err = cli.UTF8Path("--output", path)
	}
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link stays one
	} else if link, err := os.Readlink(path); err == nil {
		return "", fmt.Errorf("--output %s is a symbolic link to %s, where nothing is: create that, or give another path", path, link)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("--output %s is not a regular file: give another path", path)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		return "", fmt.Errorf("--output %s: there is no directory %s: create it first", path, filepath.Dir(path))
	}
	return path, nil
}

// dialable is the address of a listener on this machine.
func dialable(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	if tcp.IP == nil || tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return tcp.String()
}

// fetch is one get under way, with a peer of its own.
type fetch struct {
	*get
	file   *trackerapi.File
	output string
	goesOn bool // an earlier get has left something
	begun  bool // so has this one
	peer   *peerapi.ClientWithResponses
	stdout io.Writer
	waits  string // what was last said of what it waits for
}

// run fetches and then serves, as long as that was asked for.
func (f *fetch) run(ctx context.Context, n *node.Node) error {
	group, serving := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(serving)
	group.Go(func() error { return n.Run(serving) })
	var d *peerapi.Download
	group.Go(func() error {
		defer stop()
		got, err := f.fetch(serving)
		if err != nil {
			return err
		}
		d = got
		if err := f.seed(serving, got.Id); err != nil {
			d = nil
			return err
		}
		return nil
	})
	err := group.Wait()
	switch {
	case d != nil: // however the seeding ended
		if err := removeOwnDir(f.output); err != nil {
			return err
		}
		return f.print(d)
	case ctx.Err() != nil:
		return cli.Interrupted{Then: "the same command goes on where this one stopped"}
	case !f.begun && !f.goesOn:
		return errors.Join(err, removeOwnDir(f.output))
	}
	return err
}

// fetch returns when the file is at its place.
func (f *fetch) fetch(ctx context.Context) (*peerapi.Download, error) {
	if err := f.dropOthers(ctx); err != nil {
		return nil, err
	}
	id, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	f.begun = true
	bar := progress.OnTerminal(os.Stderr)
	defer bar.Clear()
	for {
		r, err := f.peer.GetDownloadWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		if r.JSON200 == nil {
			return nil, fmt.Errorf("%s: %s", f.file.Name, r.Status())
		}
		d := r.JSON200
		switch d.State {
		case peerapi.DownloadStateComplete:
			return d, nil
		case peerapi.DownloadStateFailed, peerapi.DownloadStateCancelled:
			return nil, fmt.Errorf("%s: %s", f.file.Name, trouble(d))
		}
		bar.Draw(progress.State{
			What: f.file.Name, Done: d.BytesDone, Total: d.Size, Rate: d.RateBytesPerSecond, Detail: trouble(d),
		})
		if bar == nil {
			f.say(trouble(d))
		}
		if !trackerclient.Sleep(ctx, lookEvery) {
			return nil, ctx.Err()
		}
	}
}

// say tells, where there is no terminal, what the download waits for, once.
func (f *fetch) say(waits string) {
	if waits != "" && waits != f.waits {
		fmt.Fprintf(os.Stderr, "peerd: %s: %s\n", f.file.Name, waits)
	}
	f.waits = waits
}

func trouble(d *peerapi.Download) string {
	if d.Error != nil {
		return oneline.Of(*d.Error, oneline.Max) // of the tracker's or a peer's making
	}
	return ""
}

// dropOthers forgets what an earlier get of other content has left.
func (f *fetch) dropOthers(ctx context.Context) error {
	r, err := f.peer.ListDownloadsWithResponse(ctx)
	if err != nil || r.JSON200 == nil {
		return err
	}
	for _, d := range r.JSON200.Downloads {
		if d.ManifestId == f.file.ManifestId {
			continue
		}
		if _, err := f.peer.DeleteDownloadWithResponse(ctx, d.Id); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetch) start(ctx context.Context) (id string, err error) {
	base, strategy := filepath.Base(f.output), peerapi.Strategy(f.Strategy)
	q := peerapi.DownloadRequest{File: f.file.ManifestId, Output: &base, Strategy: &strategy}
	if f.SHA256 != "" {
		q.Sha256 = &f.SHA256
	}
	r, err := f.peer.StartDownloadWithResponse(ctx, nil, q)
	switch {
	case err != nil:
		return "", err
	case r.JSON202 != nil:
		return r.JSON202.Id, nil
	case r.JSON200 != nil:
		return r.JSON200.Id, nil
	case r.ApplicationproblemJSONDefault != nil && r.ApplicationproblemJSONDefault.Detail != nil:
		return "", errors.New(*r.ApplicationproblemJSONDefault.Detail)
	}
	return "", fmt.Errorf("%s: %s", f.file.Name, r.Status())
}

// seed serves on for a while, if the file stays where it is.
func (f *fetch) seed(ctx context.Context, id string) error {
	if f.SeedFor <= 0 {
		return nil
	}
	if !f.JSON {
		fmt.Fprintf(os.Stderr, "%s is complete; serving it for %s\n", f.output, f.SeedFor)
	}
	for end := time.Now().Add(f.SeedFor); ; {
		r, err := f.peer.GetDownloadWithResponse(ctx, id)
		switch {
		case ctx.Err() != nil: // it was complete a moment ago
			return nil
		case err != nil:
			return err
		case r.JSON200 != nil && (r.JSON200.State == peerapi.DownloadStateFailed || r.JSON200.State == peerapi.DownloadStateCancelled):
			return fmt.Errorf("%s: %s", f.file.Name, trouble(r.JSON200))
		case r.JSON200 != nil && r.JSON200.State == peerapi.DownloadStateComplete && !time.Now().Before(end):
			return nil // else it is being looked at
		}
		trackerclient.Sleep(ctx, min(lookEvery, max(time.Until(end), lookEvery/10)))
	}
}

func (f *fetch) print(d *peerapi.Download) error {
	if f.JSON {
		e := json.NewEncoder(f.stdout)
		e.SetEscapeHTML(false)
		return e.Encode(d)
	}
	took := 0.0
	if d.DurationSeconds != nil {
		took = *d.DurationSeconds
	}
	_, err := fmt.Fprintf(f.stdout, "%s: %s in %.1f s, %s from the origin, %s from peers\n", f.output,
		progress.Bytes(d.Size), took, progress.Bytes(d.BytesFromOrigin), progress.Bytes(d.BytesFromPeers))
	return err
}
