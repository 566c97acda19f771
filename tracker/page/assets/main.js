// The tracker's page: events change the model, and what they change is drawn with the next
// frame of the browser.
import { Model } from './model.js';
import { Stream } from './stream.js';
import { FileView } from './files.js';
import { showFinished } from './finished.js';
import { Rollouts } from './rollouts.js';
import { Voice } from './voice.js';
import { noFiles, fetchIt, registered } from './hints.js';
import { spark } from './chunks.js';
import { make, set, attribute, arrange, colours } from './dom.js';
import * as format from './format.js';

const $ = (id) => document.getElementById(id);
const model = new Model();
const views = new Map();
const openAtOnce = 5; // cards that are open by themselves
const voice = new Voice($('spoken'));
const rollouts = new Rollouts(() => {
  for (const f of model.files.values()) f.dirty = true;
  repaint();
});
let palette = colours(), scheduled = false, away = null, peers = [], peersFor = -1;

function repaint() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(paint);
}

function paint() {
  scheduled = false;
  if (model.time === 0) return;
  if (model.dirty.has('files')) showFiles();
  for (const f of model.files.values()) {
    const view = views.get(f.id);
    if (f.dirty) {
      f.dirty = false;
      view.update(f, rollouts.of(f), (file) => fetchIt(file, peers));
      view.tick(f, model.now());
      voice.file(f, view.share);
    }
    if (view.element.open) view.members.paint(f, palette, model.now());
  }
  if (model.dirty.has('finished')) showFinished(model.finished, voice);
  if (model.dirty.has('totals')) showTotals();
  model.dirty.clear();
}

function showFiles() {
  for (const id of [...views.keys()]) if (!model.files.has(id)) views.delete(id);
  const files = model.sorted();
  for (const f of files) if (!views.has(f.id)) views.set(f.id, new FileView(f, repaint));
  // Where there are many, those under way are open, which stand first.
  files.forEach((f, i) => views.get(f.id).show(i < openAtOnce && (files.length <= openAtOnce || model.running(f))));
  arrange($('file-list'), files.map((f) => views.get(f.id).element));
  const more = model.filesTotal - files.length;
  $('more-files').hidden = more <= 0;
  set($('more-files'), `${format.count(more, 'more file')} not shown here; GET /v1/files lists them.`);
}

function showTotals() {
  $('empty').hidden = model.files.size > 0;
  if (model.files.size === 0) $('empty').replaceChildren(...noFiles(model.registered));
  let done = 0, all = 0, running = 0, name = '';
  const active = new Set(); // one peer may download several files
  for (const f of model.files.values()) {
    if (!model.running(f)) continue;
    running++, all += views.get(f.id).share, name = f.status.name;
    for (const m of f.members.values()) if (m.state === 'downloading') active.add(m.id);
  }
  done = running === 0 ? 0 : all / running;
  set($('totals'), [format.count(model.filesTotal, 'file'), format.count(model.registered, 'peer') + ' registered',
    active.size === 0 ? 'nobody downloads' : format.count(active.size, 'peer') + ' downloading'].join(' · '));
  document.title = (away ? 'away – ' : running === 0 ? '' : format.percent(done, 1) + ' ' + (running === 1 ? name : running + ' files') + ' – ') + 'fanout';
  set($('rate'), format.rate(model.rate()), model.rate());
  const shown = model.seconds.slice(-122, -2); // the last two are still being reported
  spark($('spark'), shown, palette);
  attribute($('spark'), 'aria-label', `Rate of the last two minutes: at most ${format.rate(Math.max(0, ...shown))}`);
  if (peersFor !== model.registered) {
    peersFor = model.registered;
    registered().then((list) => {
      if (list === undefined) {
        peersFor = -1; // ask again with the next event
        return;
      }
      peers = list;
      for (const f of model.files.values()) f.dirty = true;
      repaint();
    });
  }
}

function showAway() {
  $('away').hidden = away === null;
  document.documentElement.classList.toggle('stale', away !== null);
  if (away === null) return;
  const wait = Math.max(0, Math.ceil((away.next - performance.now()) / 1000));
  set($('away-text'), (model.time === 0 ? '' : `What is shown is from ${format.moment(away.since)}. `) +
    (away.reason ? away.reason + ' ' : '') + (wait === 0 ? 'Trying again…' : `Trying again in ${wait} s.`));
}

const stream = new Stream('v1/events', {
  event(name, data) {
    rollouts.look();
    if (away !== null) voice.say('The tracker answers again.');
    away = null;
    showAway();
    model.event(name, data);
    repaint();
  },
  down({ reason, retryIn }) {
    away = { since: away ? away.since : new Date().toISOString(), reason, next: performance.now() + retryIn };
    showAway();
    model.dirty.add('totals');
    repaint();
  },
});

$('retry').addEventListener('click', () => stream.retry());
document.addEventListener('theme', () => {
  palette = colours();
  for (const v of views.values()) v.members.stale();
  model.dirty.add('totals');
  repaint();
});
addEventListener('resize', () => { model.dirty.add('totals'); repaint(); });
setInterval(() => {
  if (away !== null) showAway();
  else for (const f of model.files.values()) if (views.has(f.id)) views.get(f.id).tick(f, model.now());
}, 1000);
