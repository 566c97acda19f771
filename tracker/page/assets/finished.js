// The table of finished distributions.
import { make } from './dom.js';
import * as format from './format.js';

let latest;

export function showFinished(list, voice) {
  document.getElementById('no-finished').hidden = list.length > 0;
  document.getElementById('finished-box').hidden = list.length === 0;
  document.querySelector('#finished tbody').replaceChildren(...list.map(row));
  if (list.length > 0 && latest !== undefined && list[0].ended_at !== latest) voice.finished(list[0]);
  latest = list.length > 0 ? list[0].ended_at : '';
}

function row(d) {
  const cell = (label, text, value, num) => make('td', { class: num ? 'num' : '', 'data-label': label, 'data-value': value }, text);
  const mark = d.peers_failed > 0 ? '✕' : d.peers_left > 0 ? '–' : '✓';
  const peers = d.peers_complete === d.peers ? d.peers : `${d.peers_complete} of ${d.peers}`;
  return make('tr', { 'data-manifest': d.manifest_id },
    make('th', { scope: 'row' }, d.name),
    cell('Ended', format.moment(d.ended_at), d.ended_at),
    cell('Peers', `${mark} ${peers}`, d.peers_complete),
    cell('Strategy', mix(d.strategies), ''),
    cell('Size', format.bytes(d.size), d.size, true),
    cell('Time', d.duration_seconds === undefined ? '–' : (d.partial ? '> ' : '') + format.duration(d.duration_seconds), d.duration_seconds, true),
    cell('Origin sent', format.bytes(d.origin_bytes_sent), d.origin_bytes_sent, true),
    cell('From peers', format.bytes(d.bytes_from_peers), d.bytes_from_peers, true),
    cell('Origin ÷ size', format.ratio(d.egress_ratio), d.egress_ratio, true));
}

function mix(strategies) {
  const names = Object.keys(strategies).sort();
  return names.length === 1 ? names[0] : names.map((n) => `${strategies[n]} ${n}`).join(', ');
}
