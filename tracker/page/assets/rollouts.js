// What rollouts ask for: the events tell of swarms, and who is asked and off is in none.
import * as format from './format.js';

const every = 2000; // ms

export class Rollouts {
  constructor(changed) {
    this.changed = changed;
    this.byManifest = new Map();
    this.text = '';
    this.at = -Infinity;
  }

  of(file) { return this.byManifest.get(file.id); }

  // look asks the tracker, unless that was done just now or nobody looks at the page.
  async look() {
    if (document.hidden || performance.now() - this.at < every) return;
    this.at = performance.now();
    try {
      const answer = await fetch('v1/rollouts', { cache: 'no-store' });
      if (!answer.ok) return;
      const text = await answer.text();
      if (text === this.text) return;
      this.text = text;
      this.byManifest = new Map(JSON.parse(text).rollouts.map((r) => [r.manifest_id, r]));
      this.changed();
    } catch {
      // the banner says so already
    }
  }
}

// short is a rollout in a few words.
export function short(r) {
  return r.asked === 0 ? 'asked for, no peer follows' : [`${r.complete} of ${format.count(r.asked, 'asked peer')} complete`, ...troubles(r)].join(', ');
}

// describe is a rollout in a sentence.
export function describe(r) {
  const whom = r.all_peers ? 'every peer that follows' : format.count(r.asked, 'peer');
  if (r.asked === 0) return `Rollout to ${whom}: there is none yet. `;
  const under = r.running > 0 ? [`${r.running} under way`] : [];
  return `Rollout to ${whom}: asked ${r.asked}: ${[`${r.complete} complete`, ...under, ...troubles(r)].join(', ')}. `;
}

function troubles(r) {
  const list = [];
  if (r.failed > 0) list.push(`${r.failed} failed`);
  if (r.pending > 0) list.push(`${r.pending} off`);
  return list;
}
