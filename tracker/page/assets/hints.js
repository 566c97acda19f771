// What to do next, as commands for this tracker.
import { make } from './dom.js';

const tracker = () => location.origin + location.pathname.replace(/[^/]*$/, '').replace(/\/$/, '');
const command = (text) => make('code', { class: 'command' }, text);
const quote = (text) => /^[\w./:@%+=-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";

const loopback = () => /^(localhost$|127\.|\[::1\])/.test(location.hostname);

// reachable are the flags of a daemon that other machines must reach.
const reachable = (port) => loopback() ? '' : ` --listen 0.0.0.0:${port} --insecure`;

// elsewhere says what more it takes where the commands are for this machine alone.
function elsewhere() {
  if (!loopback()) return [];
  const code = (text) => make('code', { class: 'flag' }, text);
  return [make('span', { class: 'quiet' }, 'These commands are for this machine. For a fleet, start the tracker with ', code('--listen 0.0.0.0:2680 --insecure'),
    ' and name its address in ', code('--tracker'), '; peerd needs ', code('--listen 0.0.0.0:2685 --insecure'), ', and origin ',
    code('--listen 0.0.0.0:2684 --insecure'), '. Opened at the tracker’s address, this page shows the commands with all that.')];
}

const peerd = () => command(`peerd --follow --tracker ${tracker()} --data-dir DIRECTORY${reachable(2685)}`);

export function noFiles(registered) {
  const push = command(`origin push --tracker ${tracker()}${reachable(2684)} FILE`);
  const nothing = make('strong', {}, 'Nothing is published yet.');
  if (registered > 0) return [make('p', {}, nothing, ' On the machine that has the file:'), push, ...elsewhere()];
  return [make('p', {}, nothing, ' On every machine that is to have the file:'), peerd(),
    make('p', {}, 'Then on the machine that has it:'), push, ...elsewhere()];
}

// fetchIt says how to begin a distribution to the peers there are.
export function fetchIt(file, peers) {
  if (peers.length === 0) {
    return [make('span', {}, 'No peer is registered. On every machine that is to have the file:'), peerd(), ...elsewhere()];
  }
  if (peers.some((p) => p.follow)) {
    return [make('span', {}, 'No peer has asked for it. Give it to every peer that follows:'),
      command(`curl -X PUT -d '{}' ${quote(tracker() + '/v1/files/' + encodeURIComponent(file.name) + '/rollout')}`)];
  }
  const control = (peers.find((p) => p.http_address) || { http_address: 'PEER:2695' }).http_address;
  return [make('span', {}, 'No peer has asked for it. Have one fetch it:'),
    command(`curl -d ${quote(JSON.stringify({ file: file.name }))} http://${control}/v1/downloads`)];
}

// registered asks the tracker for the fleet.
export async function registered() {
  try {
    return (await (await fetch('v1/peers')).json()).peers;
  } catch {
    return undefined; // the banner says so already
  }
}
