// The table of a swarm: one row per peer. Rows out of sight are left alone until they come into
// sight: a page has hundreds of them, with maps of thousands of chunks.
import { make, set, attribute, arrange } from './dom.js';
import { draw, describe } from './chunks.js';
import * as format from './format.js';

const states = {
  queued: ['…', 'queued'], downloading: ['↓', 'downloading'], paused: ['‖', 'paused'], complete: ['✓', 'complete'],
  failed: ['✕', 'failed'], cancelled: ['–', 'cancelled'], lost: ['?', 'lost'],
};
const silence = 7000; // ms; a peer announces every five seconds at least
const byState = ['failed', 'lost', 'downloading', 'queued', 'paused', 'cancelled', 'complete'];

const columns = [
  { key: 'peer', title: 'Peer', order: (a, b) => a.position - b.position },
  { key: 'chunks', title: 'Chunks' },
  { key: 'done', title: 'Done', num: true, order: (a, b) => a.m.chunks_held - b.m.chunks_held },
  { key: 'rate', title: 'Rate', num: true, order: (a, b) => b.m.rate_bytes_per_second - a.m.rate_bytes_per_second },
  { key: 'eta', title: 'Time left', num: true, order: (a, b) => left(b.m) - left(a.m) },
  { key: 'origin', title: 'From origin', num: true, order: (a, b) => b.m.bytes_from_origin - a.m.bytes_from_origin },
  { key: 'peers', title: 'From peers', num: true, order: (a, b) => b.m.bytes_from_peers - a.m.bytes_from_peers },
  { key: 'state', title: 'State', order: (a, b) => byState.indexOf(a.m.state) - byState.indexOf(b.m.state) },
];

const left = (m) => m.eta_seconds !== undefined ? m.eta_seconds : m.state === 'downloading' ? Infinity : -1;

export class Members {
  constructor(label, repaint) {
    this.rows = new Map();
    this.sort = { column: columns[0], down: false };
    this.repaint = repaint;
    this.body = make('tbody', { role: 'rowgroup' });
    this.heads = columns.map((c) => this.head(c));
    this.table = make('table', { class: 'members', role: 'table', 'aria-label': label },
      make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...this.heads)), this.body);
    this.element = make('div', { class: 'scroll', role: 'region', tabIndex: 0, 'aria-label': label }, this.table);
    this.sight = new IntersectionObserver((entries) => {
      for (const e of entries) {
        const row = this.rows.get(e.target.dataset.peer);
        if (row && (row.visible = e.isIntersecting)) row.stale = true;
      }
      this.repaint();
    }, { rootMargin: '100px' });
    new ResizeObserver(() => this.stale()).observe(this.element);
    this.showSort();
  }

  head(column) {
    const th = make('th', { scope: 'col', role: 'columnheader', class: column.num ? 'num' : '' });
    if (!column.order) {
      th.append(column.title);
      return th;
    }
    const button = make('button', { type: 'button', class: 'sort' }, column.title);
    button.addEventListener('click', () => {
      this.sort = { column, down: this.sort.column === column && !this.sort.down };
      this.showSort();
      this.disordered = true;
      this.repaint();
    });
    th.append(button);
    return th;
  }

  showSort() {
    columns.forEach((c, i) => {
      if (c === this.sort.column) attribute(this.heads[i], 'aria-sort', this.sort.down ? 'descending' : 'ascending');
      else this.heads[i].removeAttribute('aria-sort');
    });
  }

  // stale has every row drawn again.
  stale() {
    for (const row of this.rows.values()) row.stale = true;
    this.repaint();
  }

  // update takes over what the model marked.
  update(file) {
    for (const id of file.gone) {
      if (file.members.has(id) || !this.rows.has(id)) continue;
      this.sight.unobserve(this.rows.get(id).element);
      this.rows.delete(id);
      this.disordered = true;
    }
    file.gone.length = 0;
    for (const m of file.members.values()) {
      if (!m.dirty) continue;
      m.dirty = false;
      let row = this.rows.get(m.id);
      if (!row) {
        row = this.row(m);
        this.rows.set(m.id, row);
        this.sight.observe(row.element);
        this.disordered = true;
        this.positions = undefined;
      }
      row.m = m;
      row.stale = true;
      if (this.sort.column !== columns[0]) this.disordered = true;
    }
    if (this.disordered) this.order();
  }

  order() {
    this.disordered = false;
    const rows = [...this.rows.values()];
    if (!this.positions) {
      rows.sort((a, b) => format.natural(a.m.id, b.m.id)).forEach((r, i) => { r.position = i; });
      this.positions = true;
    }
    const sign = this.sort.down ? -1 : 1, by = this.sort.column.order;
    rows.sort((a, b) => sign * by(a, b) || a.position - b.position);
    arrange(this.body, rows.map((r) => r.element));
  }

  row(m) {
    const cell = (key, ...content) => make('td', { role: 'cell', class: key + (columns.find((c) => c.key === key).num ? ' num' : ''), 'data-label': columns.find((c) => c.key === key).title }, ...content);
    const canvas = make('canvas', { class: 'map', role: 'img' });
    const row = { m, canvas, fields: {}, visible: false, stale: true };
    const field = (key) => row.fields[key] = make('span', { 'data-field': key });
    const address = make('small', {}, m.address);
    row.element = make('tr', { role: 'row', 'data-peer': m.id },
      make('th', { scope: 'row', role: 'rowheader', class: 'peer' }, field('id'), ' ', address),
      cell('chunks', canvas, field('error')),
      cell('done', field('done')), cell('rate', field('rate')), cell('eta', field('eta')),
      cell('origin', field('origin')), cell('peers', field('peers')), cell('state', field('state')));
    row.fields.address = address;
    return row;
  }

  // tick is what moves with the time alone: how long a peer has been silent.
  tick(now) {
    for (const row of this.rows.values()) {
      if (row.visible && !row.stale && row.m.state === 'downloading') showState(row, now);
    }
  }

  // paint brings up to date what can be seen; it returns how many rows it drew.
  paint(file, colours, now) {
    let drawn = 0;
    for (const row of this.rows.values()) {
      if (!row.stale || !row.visible) continue;
      row.stale = false;
      paintRow(row, file.status);
      showState(row, now);
      draw(row.canvas, row.m.map, colours);
      attribute(row.canvas, 'aria-label', describe(row.m.map));
      drawn++;
    }
    return drawn;
  }
}

function paintRow({ m, element, fields }, file) {
  attribute(element, 'data-state', m.state);
  set(fields.id, m.id);
  set(fields.error, m.error || '');
  attribute(fields.error, 'title', m.error || ''); // two lines are shown
  set(fields.address, m.address);
  set(fields.done, format.percent(m.bytes_held, file.size), m.chunks_held);
  set(fields.rate, m.state === 'downloading' ? format.rate(m.rate_bytes_per_second) : '–', m.rate_bytes_per_second);
  set(fields.eta, m.state === 'downloading' && m.eta_seconds !== undefined ? format.clock(m.eta_seconds) : '–', m.eta_seconds === undefined ? '' : m.eta_seconds);
  set(fields.origin, format.bytes(m.bytes_from_origin), m.bytes_from_origin);
  set(fields.peers, format.bytes(m.bytes_from_peers), m.bytes_from_peers);
}

function showState({ m, fields }, now) {
  const [mark, word] = states[m.state] || ['', m.state];
  const silent = now - Date.parse(m.last_seen);
  const text = m.state === 'downloading' && silent > silence ? `silent for ${format.clock(silent / 1000)}`
    : m.listed || m.state === 'lost' ? word : word + ', gone';
  set(fields.state, mark + ' ' + text, m.state);
}
