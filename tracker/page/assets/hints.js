// What to do next, as commands for this tracker.
import { make } from './dom.js';

const tracker = () => location.origin + location.pathname.replace(/[^/]*$/, '').replace(/\/$/, '');
const command = (text) => make('code', { class: 'command' }, text);
const quote = (text) => /^[\w./:@%+=-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";

export function noFiles(registered) {
  const steps = [make('p', {}, make('strong', {}, 'Nothing is published yet.'), ' On the machine that has the file:'),
    command(`origin --tracker ${tracker()} FILE`)];
  if (registered === 0) steps.push(...noPeers('And on every machine that is to have it:'));
  return steps;
}

function noPeers(text) {
  return [make('p', {}, text), command(`peerd --tracker ${tracker()} --data-dir DIRECTORY`)];
}

// fetchIt says how to begin a distribution. peer is the control address of one, if known.
export function fetchIt(file, registered, peer) {
  if (registered === 0) return noPeers('No peer is registered. On every machine that is to have the file:');
  const body = JSON.stringify({ file: file.name });
  return [make('span', {}, 'No peer has asked for it. Have one fetch it:'),
    command(`curl -d ${quote(body)} http://${peer || 'PEER:2695'}/v1/downloads`)];
}

// anyPeer asks the tracker for the control address of a registered peer.
export async function anyPeer() {
  try {
    const { peers } = await (await fetch('v1/peers')).json();
    const found = peers.find((p) => p.http_address);
    return found && found.http_address;
  } catch {
    return undefined;
  }
}
