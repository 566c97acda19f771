// Small helpers to make and change elements. Text is always text, never markup: names come
// from the network.

export function make(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(properties)) {
    if (k === 'class') e.className = v;
    else if (k in e && !k.startsWith('aria') && k !== 'role') e[k] = v;
    else e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}

// set changes a text only where it is another, and keeps the exact value beside it.
export function set(e, text, value) {
  if (e.textContent !== text) e.textContent = text;
  if (value !== undefined && e.dataset.value !== String(value)) e.dataset.value = value;
}

export function attribute(e, name, value) {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

// arrange makes the children of an element be these, in this order, and moves only what is
// out of place, so that the focus stays where it is.
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const c of [...parent.children]) if (!wanted.has(c)) c.remove();
  let at = parent.firstElementChild;
  for (const c of children) {
    if (c === at) at = at.nextElementSibling;
    else parent.insertBefore(c, at);
  }
}

// colours are those of the theme, for canvases.
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue('--' + name).trim();
  return { origin: of('origin'), peers: of('peers'), missing: of('missing'), line: of('line'), area: of('area') };
}
