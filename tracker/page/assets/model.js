// What the tracker has told: files by manifest ID, each with its members by peer ID. Events
// mark what they change; the view clears the marks.
import { apply } from './chunks.js';
import { natural } from './format.js';

const span = 299; // seconds of rates

export class Model {
  constructor() {
    this.files = new Map();
    this.finished = [];
    this.seconds = [];
    this.registered = 0;
    this.filesTotal = 0;
    this.time = 0;       // of the tracker, ms
    this.receivedAt = 0; // performance.now() then
    this.dirty = new Set(['files', 'finished', 'totals']);
  }

  // now is the tracker's time: its clock may differ from ours.
  now() { return this.time + performance.now() - this.receivedAt; }

  event(name, e) {
    this.time = Date.parse(e.time);
    this.receivedAt = performance.now();
    this.registered = e.registered_peers;
    this.filesTotal = e.files_total;
    if (name === 'snapshot') {
      const told = new Set(e.files.map((f) => f.manifest_id));
      for (const id of this.files.keys()) if (!told.has(id)) this.files.delete(id);
      for (const f of this.files.values()) f.gone.push(...f.members.keys()), f.members.clear();
      this.dirty.add('files');
    }
    for (const f of e.files || []) this.file(f);
    for (const id of e.files_gone || []) this.files.delete(id), this.dirty.add('files');
    if (e.distributions) this.finished = e.distributions, this.dirty.add('finished');
    this.rates(name, e.seconds);
    this.dirty.add('totals');
  }

  file(told) {
    let f = this.files.get(told.manifest_id);
    if (!f) {
      f = { id: told.manifest_id, members: new Map(), gone: [] };
      this.files.set(f.id, f);
      this.dirty.add('files');
    }
    const { members, members_gone: gone, ...status } = told;
    if ((f.status && f.status.distribution || {}).running !== (status.distribution || {}).running) this.dirty.add('files');
    f.status = status;
    f.dirty = true;
    for (const id of gone || []) if (f.members.delete(id)) f.gone.push(id);
    for (const m of members || []) {
      const old = f.members.get(m.id);
      const map = old ? old.map : new Uint8Array(status.chunks_total);
      apply(map, m.chunks);
      f.members.set(m.id, { ...m, map, dirty: true });
    }
  }

  // rates takes the last seconds over: a report of now tells of bytes that came before.
  rates(name, told) {
    const until = Math.floor(this.time / 1000);
    if (name === 'snapshot') {
      this.seconds = told;
    } else {
      const fresh = Math.max(0, until - this.until);
      for (let i = 0; i < Math.min(fresh, span); i++) this.seconds.push(0);
      this.seconds.splice(Math.max(0, this.seconds.length - told.length), told.length, ...told);
      this.seconds.splice(0, this.seconds.length - span);
    }
    this.until = until;
  }

  running(f) { return f.status.distribution !== undefined && f.status.distribution.running; }

  // sorted are the files in the order to show them: those under way first, then by name.
  sorted() {
    const rank = (f) => this.running(f) ? 0 : 1;
    return [...this.files.values()].sort((a, b) => rank(a) - rank(b) || natural(a.status.name, b.status.name) || b.status.current - a.status.current);
  }

  rate() {
    let sum = 0;
    for (const f of this.files.values()) for (const m of f.members.values()) sum += m.rate_bytes_per_second;
    return sum;
  }
}
