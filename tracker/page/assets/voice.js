// What a screen reader is told without being asked: beginnings, ends, and now and then how
// far it is.
import * as format from './format.js';

const every = 15000; // ms between reports of progress

export class Voice {
  constructor(element) {
    this.element = element;
    this.running = new Map(); // manifest ID -> when its progress was told
  }

  say(text) { this.element.textContent = text; }

  file(f, share) {
    const d = f.status.distribution, now = performance.now();
    if (!d || !d.running) {
      this.running.delete(f.id);
      return;
    }
    const told = this.running.get(f.id);
    if (told !== undefined && now - told < every) return;
    this.running.set(f.id, now);
    this.say(told === undefined ? `A distribution of ${f.status.name} is under way.`
      : `${f.status.name}: ${format.percent(share, 1)}, ${d.peers_complete} of ${format.count(d.peers, 'peer')} complete.`);
  }

  finished(d) {
    this.say(`${d.name}: ${d.peers_complete} of ${format.count(d.peers, 'peer')} complete` +
      (d.duration_seconds === undefined ? '.' : ` in ${format.duration(d.duration_seconds)}.`));
  }
}
