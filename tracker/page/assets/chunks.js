// Chunk maps: what a peer has, chunk by chunk, and its picture.

export const MISSING = 0, ORIGIN = 1, PEERS = 2;
const codes = { M: MISSING, O: ORIGIN, P: PEERS };

// apply reads runs (see SwarmMember.chunks in the contract) into a map.
export function apply(map, runs) {
  let at = 0;
  for (const [, letter, length] of runs.matchAll(/([OPMK])([0-9a-z]*)/g)) {
    const n = length === '' ? 1 : parseInt(length, 36);
    if (letter !== 'K') map.fill(codes[letter], at, at + n);
    at += n;
  }
}

// describe is the picture in words.
export function describe(map) {
  let origin = 0, peers = 0;
  const gaps = [];
  for (let i = 0, from = -1; i <= map.length; i++) {
    const missing = i < map.length && map[i] === MISSING;
    if (missing && from < 0) from = i;
    if (!missing && from >= 0) {
      gaps.push(from === i - 1 ? String(from) : from + ' to ' + (i - 1));
      from = -1;
    }
    if (map[i] === ORIGIN) origin++;
    if (map[i] === PEERS) peers++;
  }
  const total = map.length;
  let text = `${origin + peers} of ${total} chunks: ${origin} from the origin, ${peers} from peers`;
  if (gaps.length > 0) {
    text += '; missing: ' + gaps.slice(0, 5).join(', ') + (gaps.length > 5 ? ` and ${gaps.length - 5} more gaps` : '');
  }
  return text;
}

// draw paints a map as wide as its canvas. Where there are more chunks than pixels, a column
// shows the shares: from the origin below, from peers above that, missing on top.
export function draw(canvas, map, colours) {
  const scale = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const c = canvas.getContext('2d', { alpha: false });
  c.fillStyle = map.length ? colours.missing : colours.peers; // of an empty file nothing is missing
  c.fillRect(0, 0, width, height);
  if (map.length <= width) drawChunks(c, map, colours, width, height);
  else drawShares(c, map, colours, width, height);
}

function drawChunks(c, map, colours, width, height) {
  const n = map.length;
  const edge = (i) => Math.round(i * width / n);
  const gap = width / n >= 5 ? 1 : 0;
  for (let i = 0; i < n;) {
    let end = i + 1;
    while (!gap && end < n && map[end] === map[i]) end++;
    if (map[i] !== MISSING) {
      c.fillStyle = map[i] === ORIGIN ? colours.origin : colours.peers;
      c.fillRect(edge(i), 0, Math.max(1, edge(end) - edge(i) - gap), height);
    }
    i = end;
  }
}

function drawShares(c, map, colours, width, height) {
  const n = map.length;
  const bars = { origin: new Path2D(), peers: new Path2D() };
  for (let x = 0, i = 0; x < width; x++) {
    const end = Math.round((x + 1) * n / width), size = end - i;
    let origin = 0, peers = 0;
    for (; i < end; i++) {
      if (map[i] === ORIGIN) origin++;
      else if (map[i] === PEERS) peers++;
    }
    const o = Math.round(origin / size * height), p = Math.round((origin + peers) / size * height) - o;
    if (o > 0) bars.origin.rect(x, height - o, 1, o);
    if (p > 0) bars.peers.rect(x, height - o - p, 1, p);
  }
  c.fillStyle = colours.origin;
  c.fill(bars.origin);
  c.fillStyle = colours.peers;
  c.fill(bars.peers);
}

// spark paints a line of rates with an area below.
export function spark(canvas, values, colours) {
  const scale = devicePixelRatio || 1;
  const width = canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  const c = canvas.getContext('2d');
  const most = Math.max(...values, 1);
  const x = (i) => i * width / Math.max(1, values.length - 1);
  const y = (v) => height - 1.5 * scale - v / most * (height - 3 * scale);
  c.beginPath();
  values.forEach((v, i) => c.lineTo(x(i), y(v)));
  c.strokeStyle = colours.line;
  c.lineWidth = 1.5 * scale;
  c.stroke();
  c.lineTo(width, height);
  c.lineTo(0, height);
  c.fillStyle = colours.area;
  c.fill();
}
