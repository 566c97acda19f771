// A file: what it is, what its distribution has cost so far, and its swarm.
import { make, set, attribute } from './dom.js';
import { Members } from './members.js';
import { short, describe } from './rollouts.js';
import * as format from './format.js';

export class FileView {
  constructor(file, repaint) {
    this.fields = {};
    const field = (key, tag = 'span') => this.fields[key] = make(tag, { 'data-field': key });
    const name = file.status.name;
    this.members = new Members('Peers of ' + name, repaint);
    this.bar = make('progress', { max: 1, value: 0, 'aria-label': 'Progress of ' + name + ' over all peers' });
    this.egressBar = make('span', { class: 'egress-fill' });
    this.egress = make('span', { class: 'egress', role: 'img' }, this.egressBar, make('span', { class: 'egress-once' }));
    this.hint = make('p', { class: 'hint' });
    this.more = make('p', { class: 'quiet', hidden: true });
    this.legend = make('ul', { class: 'legend', 'aria-label': 'Colours of the chunk maps' },
      ...[['origin', 'from the origin'], ['peers', 'from peers'], ['missing', 'missing']].map(([c, t]) => make('li', {}, make('span', { class: 'swatch ' + c }), t)));
    this.element = make('details', { class: 'file card', 'data-file': file.id },
      make('summary', {}, make('h3', {}, field('name')), ' ', field('badge'), ' ', field('progress'), this.bar),
      make('p', { class: 'facts' }, field('facts')),
      make('p', { class: 'cost' }, make('span', { class: 'label' }, 'The origin has sent '), field('egress'), ' ', this.egress),
      make('p', { class: 'rollout', hidden: true }, field('rollout'), make('a', { href: `v1/files/${file.id}/rollout` }, 'Who')),
      make('p', { class: 'course' }, field('course')),
      this.hint, this.legend, this.members.element, this.more);
    this.automatic = false;
    this.element.addEventListener('toggle', () => { this.touched = this.element.open !== this.automatic; repaint(); });
  }

  // show opens or closes the card, unless somebody has done that.
  show(open) {
    if (!this.touched && this.automatic !== open) this.automatic = this.element.open = open;
  }

  update(file, rollout, hint) {
    this.members.update(file);
    this.rollout = rollout;
    this.summary(file);
    this.showHint(file, hint);
  }

  summary(file) {
    const s = file.status, f = this.fields, d = s.distribution;
    const running = d !== undefined && d.running;
    set(f.name, s.name);
    set(f.badge, running ? 'running' : s.current ? '' : 'superseded');
    this.element.classList.toggle('running', running);
    set(f.facts, [format.bytes(s.size), format.count(s.chunks_total, 'chunk') + ' of ' + format.bytes(s.chunk_size),
      s.origins.length === 0 ? 'no origin is up' : (s.origins.length === 1 ? 'origin ' : 'origins ') + s.origins.join(', '),
      'manifest ' + s.manifest_id.slice(0, 12) + '…'].join(' · '));
    attribute(f.facts, 'title', 'manifest ' + s.manifest_id);
    let complete = s.peers_complete; // of those in the swarm; here we know who was lost, too
    if (file.members.size === s.members_total) complete = [...file.members.values()].filter((m) => m.state === 'complete').length;
    const r = this.rollout;
    f.rollout.parentElement.hidden = r === undefined;
    if (r !== undefined) set(f.rollout, describe(r));
    if (r !== undefined) set(f.progress, short(r), r.complete);
    else set(f.progress, s.members_total === 0 ? 'no peers' : `${complete} of ${format.count(s.members_total, 'peer')} complete`, complete);
    this.progress(file);
    this.cost(s, d);
  }

  // progress is over the peers that are asked, of the distribution under way, or of the swarm:
  // over all that are known of.
  progress(file) {
    let held = 0, n = 0;
    for (const m of file.members.values()) { held += m.bytes_held; n++; }
    const of = Math.max(n, this.rollout === undefined ? 0 : this.rollout.asked);
    const share = of === 0 || file.status.size === 0 ? 0 : held / (of * file.status.size);
    this.share = share;
    this.bar.hidden = of === 0;
    if (Math.abs(this.bar.value - share) > 0.0005 || share === 1) this.bar.value = share;
    attribute(this.bar, 'aria-valuetext', format.percent(share, 1));
    this.legend.hidden = this.members.element.hidden = n === 0;
    this.more.hidden = file.status.members_total <= n;
    set(this.more, `${format.count(file.status.members_total - n, 'more peer')} not shown here; all count above.`);
  }

  cost(s, d) {
    const box = this.egress.parentElement;
    box.hidden = this.fields.course.parentElement.hidden = d === undefined;
    if (d === undefined) return;
    set(this.fields.egress, `${format.bytes(d.origin_bytes_sent)} of ${format.bytes(s.size)}: ${format.ratio(d.egress_ratio)} the size`, d.origin_bytes_sent);
    const most = Math.max(2, d.egress_ratio);
    this.egress.style.setProperty('--fill', (100 * d.egress_ratio / most) + '%');
    this.egress.style.setProperty('--once', (100 / most) + '%');
    attribute(this.egress, 'aria-label', `${format.ratio(d.egress_ratio)} the size of the file; the mark is once`);
  }

  // tick is what moves with the time alone.
  tick(file, now) {
    const d = file.status.distribution;
    if (d === undefined) return;
    set(this.fields.course, course(file, d, now));
    if (this.element.open) this.members.tick(now);
  }

  showHint(file, hint) {
    const wanted = file.members.size === 0 && file.status.current && this.rollout === undefined;
    this.hint.hidden = !wanted;
    if (wanted) this.hint.replaceChildren(...hint(file.status));
  }
}

function course(file, d, now) {
  const others = [];
  if (d.peers_failed > 0) others.push(d.peers_failed + ' failed or lost');
  if (d.peers_left > 0) others.push(d.peers_left + ' left');
  const rest = others.length ? ', ' + others.join(', ') : '';
  const peers = `${d.peers_complete} of ${format.count(d.peers, 'peer')} complete`;
  const begun = d.partial ? ' (the tracker was started in the middle of it)' : '';
  if (!d.running) {
    const took = d.duration_seconds === undefined ? '' : ` in ${d.partial ? 'more than ' : ''}${format.duration(d.duration_seconds)}`;
    return `Last distribution: ${peers}${took}${rest}; it ended at ${format.moment(d.ended_at)}${begun}.`;
  }
  let slowest = 0, unknown = false;
  for (const m of file.members.values()) {
    if (m.state !== 'downloading') continue;
    if (m.eta_seconds === undefined) unknown = unknown || m.bytes_held < file.status.size;
    else slowest = Math.max(slowest, m.eta_seconds);
  }
  const left = slowest > 0 ? `, about ${format.clock(slowest)} left` : unknown ? '' : ', about to end';
  return `Distribution: ${peers}${rest}, for ${format.clock((now - Date.parse(d.started_at)) / 1000)}${left}${begun}.`;
}
