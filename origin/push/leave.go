package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/trackerclient"
)

// partWithin is how long the tracker is asked, at the end, how things stand.
const partWithin = 5 * time.Second

// clauses are texts about files; those with one text are told together.
type clauses struct {
	texts []string
	files map[string][]string
}

func (c *clauses) add(file, text string) {
	if c.files == nil {
		c.files = map[string][]string{}
	}
	if _, known := c.files[text]; !known {
		c.texts = append(c.texts, text)
	}
	c.files[text] = append(c.files[text], file)
}

// missing says who has not got what, each thing once.
func (p *Push) missing() string {
	var c clauses
	for _, r := range sorted(p.rollouts.seen) {
		if why := p.rollouts.lost[r.ManifestId]; why != nil {
			c.add(r.File, why.Error())
			continue
		}
		if r.Asked == 0 || r.Complete < r.Asked {
			c.add(r.File, lacks(r))
		}
	}
	var parts []string
	for _, text := range c.texts {
		parts = append(parts, enumerate(c.files[text])+": "+text)
	}
	if n := p.cfg.Files - len(p.rollouts.seen); n > 0 {
		s := fmt.Sprintf("%d of %d files not published yet", n, p.cfg.Files)
		if why := p.waits(); why != "" {
			s += " (" + why + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func lacks(r *trackerapi.Rollout) string {
	s := fmt.Sprintf("%d of %d peers have it", r.Complete, r.Asked)
	for _, g := range []struct {
		what string
		in   func(trackerapi.RolloutPeer) bool
	}{{"failed", failed}, {"off", off}, {"not done", running}} {
		if ids := who(r, g.in); len(ids) > 0 {
			s += "; " + g.what + ": " + enumerate(ids)
		}
	}
	return s
}

// Advice writes, once, what can be done about peers that are off.
func (p *Push) Advice(out io.Writer) error {
	ids := p.rollouts.off()
	if len(ids) == 0 || p.ended {
		return nil
	}
	_, err := fmt.Fprintf(out, "A peer that is off (%s) fetches when it comes back; one that is gone for good is forgotten with: curl -X DELETE '%s/v1/peers/%s?forget=true'\n",
		enumerate(ids), p.tracker(), ids[0])
	return err
}

// gaveUp ends the rollouts that nobody could finish without this push, and says which, which
// stay, and how those are taken back.
func (p *Push) gaveUp(ctx context.Context, why string) error {
	ctx, cancel := context.WithTimeout(ctx, partWithin)
	defer cancel()
	_ = p.look(ctx) // else it is as it was last seen
	p.rollouts.seen = sorted(p.rollouts.seen)
	text := why + ": " + p.missing()
	var ended, stay, unknown []*trackerapi.Rollout
	var trouble error
	for _, r := range p.rollouts.live() {
		if r.Asked > 0 && r.Complete == r.Asked {
			continue
		}
		served, err := p.servedByOthers(ctx, r)
		if err == nil && !served {
			err = p.end(ctx, r)
		}
		switch {
		case err != nil:
			unknown, trouble = append(unknown, r), err
		case served:
			stay = append(stay, r)
		default:
			ended = append(ended, r)
		}
	}
	p.ended = len(ended) > 0
	if p.ended {
		text += fmt.Sprintf("; the rollout of %s was ended, for nobody else has the whole file", names(ended))
	}
	if len(stay) > 0 {
		text += fmt.Sprintf("; the rollout of %s goes on with those that have the file; to take it back: %s", names(stay), p.takeBack(stay))
	}
	if len(unknown) > 0 {
		text += fmt.Sprintf("; the rollout of %s may go on, for it could not be ended (%s); to take it back: %s", names(unknown), trouble, p.takeBack(unknown))
	}
	return errors.New(text)
}

// end ends a rollout, unless another one has its place.
func (p *Push) end(ctx context.Context, r *trackerapi.Rollout) error {
	now, err := p.cfg.Tracker.Rollout(ctx, r.ManifestId)
	if err == nil && now.Id != r.Id {
		return nil
	}
	if err == nil {
		err = p.cfg.Tracker.EndRollout(ctx, r.ManifestId)
	}
	if errors.Is(err, trackerclient.ErrNotFound) || errors.Is(err, trackerclient.ErrGone) {
		return nil
	}
	return err
}

// servedByOthers says that a file's peers can finish without this push: another origin or a
// peer that is on has all of it.
func (p *Push) servedByOthers(ctx context.Context, r *trackerapi.Rollout) (bool, error) {
	for _, peer := range peersOf(r) {
		if peer.Online && peer.State == trackerapi.RolloutStateComplete {
			return true, nil
		}
	}
	f, err := p.cfg.Tracker.File(ctx, r.ManifestId)
	if err != nil {
		return false, err
	}
	other := func(o trackerapi.Origin) bool { return o.Id != p.cfg.Origin }
	return f.PeersComplete > 0 || slices.ContainsFunc(f.Origins, other), nil
}

// interrupted says, of every file, how things stand and go on.
func (p *Push) interrupted(ctx context.Context) error {
	if p.rollouts.complete() {
		return nil
	}
	if len(p.rollouts.live()) == 0 {
		then := "no peer was asked for anything"
		if p.display.waiting.forWhat != "" {
			then += " (" + p.display.waiting.forWhat + ")"
		}
		return cli.Interrupted{Then: then}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWithin)
	defer cancel()
	p.rollouts.seen = sorted(p.rollouts.seen)
	var c clauses
	for i, r := range p.rollouts.seen {
		if why := p.rollouts.lost[r.ManifestId]; why != nil {
			c.add(r.File, "FILES: "+why.Error())
			continue
		}
		if now, err := p.cfg.Tracker.Rollout(ctx, r.ManifestId); err == nil && now.Id == r.Id {
			p.rollouts.seen[i], r = now, now
		}
		c.add(r.File, fmt.Sprintf("%d of %d peers have FILES; %s", r.Complete, r.Asked, p.goesOn(ctx, r)))
	}
	var parts []string
	for _, text := range c.texts {
		parts = append(parts, strings.Replace(text, "FILES", strings.Join(c.files[text], ", "), 1))
	}
	if n := p.cfg.Files - len(p.rollouts.seen); n > 0 {
		parts = append(parts, fmt.Sprintf("nobody was asked for %d of the %d files", n, p.cfg.Files))
	}
	return cli.Interrupted{Then: fmt.Sprintf("%s; to take it back: %s", strings.Join(parts, "; "), p.takeBack(p.rollouts.live()))}
}

// goesOn says what becomes of a rollout without this push.
func (p *Push) goesOn(ctx context.Context, r *trackerapi.Rollout) string {
	served, err := p.servedByOthers(ctx, r)
	switch {
	case err != nil:
		return fmt.Sprintf("the rollout goes on as soon as it can (%s)", err)
	case served:
		return "the rollout goes on with those that have it"
	}
	return "the rollout goes on, but nobody else has the whole file: its peers wait until the same command serves it again"
}

// takeBack is the command that ends rollouts.
func (p *Push) takeBack(rollouts []*trackerapi.Rollout) string {
	command := "curl -X DELETE"
	for _, r := range rollouts {
		command += fmt.Sprintf(" %s/v1/files/%s/rollout", p.tracker(), r.ManifestId)
	}
	return command
}

// tracker is its URL for a command line.
func (p *Push) tracker() string {
	text := strings.TrimSuffix(p.cfg.Tracker.URL(), "/")
	if u, err := url.Parse(text); err == nil {
		text = u.String() // escaped
	}
	return text
}

func names(rollouts []*trackerapi.Rollout) string {
	var files []string
	for _, r := range rollouts {
		files = append(files, r.File)
	}
	return strings.Join(files, ", ")
}
