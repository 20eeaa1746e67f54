// The engine as the page meets it, in the place of the page's network: it answers what a test says,
// when the test says so. Its event stream speaks once a second, as the real one does.

(() => {
  const account = {
    day: "2026-09-15", pnl: "0.00", realized_pnl: "0.00", realized_before: "0.00", unrealized_pnl: "0.00", unseen: [],
    max_loss: null, target: null, trailing_activation: null, peak: null, trailing_stop: null,
    square_off_at: null, fired: [], fired_reason: null, fired_at: null,
  };
  const status = {
    mode: "paper", account_id: "a", is_ready: true, not_ready_because: [],
    market_feed: "connected", order_stream: "connected", database: "open", breakers: {},
    permits_waiting: 0, oldest_exit_wait_seconds: 0, budget_used: {}, reconciled_age_seconds: 1,
    last_tick_age_seconds: 1, blind_instruments: [], token_expires_at: null, account,
  };
  const replica = {
    seq: 100, account_id: "a", mode: "paper", broker: "b", stale_after_seconds: 5,
    budget_limits: {}, kill_switch: { active: false, level: "new", reason: "" }, exit_all: null,
    trackers: [], alarms: [],
  };
  const chart = {
    opened_at: "2026-09-15T09:31:05+05:30", entry_price: "100.00", spans: [], levels: [],
    triggers: [], fills: [],
  };
  const done = { ok: true, code: "claimed", items: [], next: null };
  const answers = {
    "/exit-preview": [200, { items: [], ticket: "seen" }],
    "/replica": [200, replica],
  };
  const streams = new Set();
  const held = new Map();
  const now = () => new Date().toISOString();
  const write = (out, text) => out.enqueue(new TextEncoder().encode(text));
  const say = (text) => streams.forEach((out) => write(out, text));

  const engine = {
    token: null, isBehind: false, calls: [], answers, replica, status,
    alarm(id, severity, message) {
      replica.alarms.push({
        id, severity, code: "exit_stuck", message, tracker_id: null, raised_at: now(),
        acknowledged_at: null, repeats: 0, last_raised_at: null, cleared_at: null,
      });
    },
    /** Have calls to a path wait until they are let go. */
    hold: (path) => held.set(path, []),
    letGo(path) {
      const waiting = held.get(path);
      held.delete(path);
      waiting.forEach((go) => go());
    },
    /** Write facts to the journal; they come in one piece. */
    tell(...facts) {
      const lines = facts.map((fact) => {
        const whole = { time: now(), tracker_id: null, data: {}, text: fact.kind, ...fact };
        return `data: ${JSON.stringify({ ...whole, seq: (replica.seq += 1) })}\n\n`;
      });
      say(lines.join(""));
    },
    /** Say how it stands, and a part of its own. */
    live(part = {}) {
      const whole = { time: now(), head: replica.seq, is_behind: engine.isBehind, status, ...part };
      say(`event: live\ndata: ${JSON.stringify(whole)}\n\n`);
    },
    /** Break every stream off. */
    drop() {
      streams.forEach((out) => out.error(new TypeError("broken off")));
      streams.clear();
    },
  };
  window.engine = engine;
  setInterval(() => engine.live(), 1000);

  window.fetch = async (address, { headers, body, method, signal }) => {
    const path = new URL(address, location.href).pathname.replace("/api/v1", "");
    const token = headers.Authorization.replace("Bearer ", "");
    if (path !== "/events") {
      const key = headers["Idempotency-Key"];
      engine.calls.push({ path, method, token, key, body: body && JSON.parse(body) });
    }
    if (held.has(path)) await until(path, signal);
    if (engine.token !== null && token !== engine.token) return refusal(401, "the token is wrong");
    if (path === "/events") return stream(signal);
    const [code, answer] = answers[path] ?? [200, path.endsWith("/chart") ? chart : done];
    if (code === 0) throw new TypeError("no way to the engine");
    if (code !== 200) return refusal(code, answer);
    return new Response(JSON.stringify(answer));
  };

  function until(path, signal) {
    return new Promise((resolve, reject) => {
      held.get(path).push(resolve);
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  }

  function refusal(status, message) {
    return new Response(JSON.stringify({ error: { code: "refused", message } }), { status });
  }

  function stream(signal) {
    return new Response(new ReadableStream({
      start(out) {
        streams.add(out);
        signal.addEventListener("abort", () => {
          if (streams.delete(out)) out.error(signal.reason);
        });
      },
    }));
  }
})();
