// The event stream over fetch (EventSource cannot send a token): resumed by sequence number for as
// long as the page is open. It tells what it reads and how it stands; it decides nothing. Once it
// is closed it tells nothing more, not even the rest of a piece that was read before.

const SILENCE_MS_MAX = 4000; // the engine says something every second
const PAUSES_MS = [250, 500, 1000, 2000];

export class EventStream {
  #api;
  #ears;
  #stop = null;

  /** `ears` are called with `fact`, `live`, `open` and `lost`; `after` gives where to resume. */
  constructor(api, ears) {
    this.#api = api;
    this.#ears = ears;
  }

  /** Read on until `close`, from wherever `ears.after()` stands. */
  async run() {
    const stop = (this.#stop = new AbortController());
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        await this.#readOnce(stop.signal, () => (failures = 0));
        if (!stop.signal.aborted) this.#ears.lost(null);
      } catch (error) {
        if (stop.signal.aborted) return;
        this.#ears.lost(error);
      }
      await pause(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)], stop.signal);
    }
  }

  /** End the stream for good. */
  close() {
    this.#stop?.abort();
  }

  async #readOnce(outer, onOpen) {
    const silence = new AbortController();
    const signal = AbortSignal.any([outer, silence.signal]);
    let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
    try {
      const answer = await this.#api.events(this.#ears.after(), signal);
      if (outer.aborted) return;
      this.#ears.open();
      onOpen();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = parser((event) => {
        if (!outer.aborted) this.#hear(event);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done || outer.aborted) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
        parse(value);
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #hear({ name, data }) {
    if (name === "live") this.#ears.live(JSON.parse(data));
    else this.#ears.fact(JSON.parse(data));
  }
}

/** Return a function that takes pieces of an event stream and calls `hear` for each whole event. */
export function parser(hear) {
  let rest = "";
  return (piece) => {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data.push(line.slice(6));
      }
      if (data.length) hear({ name, data: data.join("\n") });
    }
  };
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
