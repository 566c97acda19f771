// The connection to the tracker: server-sent events over fetch, so that an answer that is no
// stream can be read, and with its own reconnecting.

const first = 500, most = 10000; // ms between attempts
const silence = 5000;            // an event comes every second

export class Stream {
  // handlers: event(name, data), up(), down({reason, retryIn}) with retryIn in ms.
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.backoff = first;
    addEventListener('online', () => this.retry());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.retry(); });
    this.open();
  }

  async open() {
    this.timer = undefined;
    const abort = new AbortController();
    let watchdog, reason;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => { reason = 'It has gone silent.'; abort.abort(); }, silence);
    };
    try {
      alive();
      const answer = await fetch(this.url, { signal: abort.signal, cache: 'no-store' });
      if (!answer.ok) {
        const problem = await answer.json().catch(() => ({}));
        reason = problem.detail ? 'It says: ' + problem.detail + '.' : 'It answers with status ' + answer.status + '.';
        throw new Error(reason);
      }
      await this.read(answer.body.getReader(), alive);
    } catch { /* told below */ } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    const wait = this.backoff / 2 + Math.random() * this.backoff / 2;
    this.backoff = Math.min(2 * this.backoff, most);
    this.handlers.down({ reason: reason || '', retryIn: wait });
    this.timer = setTimeout(() => this.open(), wait);
  }

  async read(reader, alive) {
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      text += decoder.decode(value, { stream: true });
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) this.dispatch(text.slice(0, end));
    }
  }

  dispatch(block) {
    let name = 'message', data = '';
    for (const line of block.split('\n')) {
      if (line.startsWith('event: ')) name = line.slice(7);
      if (line.startsWith('data: ')) data += line.slice(6);
    }
    if (data === '') return;
    this.backoff = first;
    this.handlers.event(name, JSON.parse(data));
  }

  // retry does not wait any longer.
  retry() {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.open();
  }
}
