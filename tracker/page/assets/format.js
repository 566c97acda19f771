// Numbers for people. Exact values stand beside them in data-value attributes.

// natural compares names as people count: web-2 before web-10.
const collator = new Intl.Collator('en', { numeric: true });
export const natural = (a, b) => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

const three = (n) => n >= 99.95 || n === 0 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);

function scaled(n, base, units) {
  let i = 0;
  while (n >= base * 0.9995 && i < units.length - 1) { n /= base; i++; }
  return (i === 0 ? n.toFixed(0) : three(n)) + ' ' + units[i];
}

export const bytes = (n) => scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);
export const rate = (n) => bytes(n) + '/s';
export const ratio = (n) => n.toFixed(2) + ' ×';
export const count = (n, one, many = one + 's') => n.toLocaleString('en') + ' ' + (n === 1 ? one : many);

// percent never rounds up to what is not reached.
export const percent = (part, whole) =>
  whole === 0 ? '100 %' : (part >= whole ? '100' : Math.min(99.9, Math.floor(part / whole * 1000) / 10).toFixed(part / whole < 0.1 ? 1 : 0).replace('100', '99')) + ' %';

export function duration(s) {
  if (s < 9.995) return s.toFixed(2) + ' s';
  if (s < 99.95) return s.toFixed(1) + ' s';
  return clock(s);
}

// clock is a time that passes: whole seconds.
export function clock(s) {
  s = Math.max(0, Math.round(s));
  if (s < 60) return s + ' s';
  const pad = (n) => String(n).padStart(2, '0');
  if (s < 3600) return Math.floor(s / 60) + ':' + pad(s % 60) + ' min';
  return Math.floor(s / 3600) + ':' + pad(Math.floor(s / 60) % 60) + ' h';
}

// moment is a local time; with the date where that is not today.
export function moment(text) {
  const d = new Date(text);
  const time = d.toLocaleTimeString('en-GB');
  return d.toDateString() === new Date().toDateString() ? time : d.toLocaleDateString('en-CA') + ' ' + time;
}
