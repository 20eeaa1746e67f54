// How the engine's ways to the world are: each line says what is well and what is not.

import { byId, el, empty, keep, setAttribute, setText } from "../dom.js";
import { clock, duration, NONE, whole, words } from "../format.js";

const TOKEN_SOON_SECONDS = 30 * 60;
const FULL_SHARE = 0.8; // entries are held back from here on

export class HealthView {
  #model;

  constructor(model) {
    this.#model = model;
    empty(byId("health"));
    empty(byId("budget"));
  }

  draw(changes) {
    const { status } = this.#model;
    if ((!changes.second && !changes.all) || !status) return;
    const { connection } = this.#model;
    const isGone = connection.state === "disconnected"; // what was well then may not be now
    const since = isGone ? clock(new Date(connection.since).toISOString()) : "";
    setText(byId("health-title"), isGone ? `Health, as of ${since}` : "Health");
    drawLines(byId("health"), [...this.#lines(status)]);
    drawLines(byId("budget"), [...this.#budget(status)]);
  }

  *#lines(status) {
    const tick = status.last_tick_age_seconds;
    const stale = tick === null || tick > this.#model.replica.staleAfterSeconds;
    yield line("Market feed", status.market_feed, status.market_feed === "connected");
    const price = tick === null ? "none yet" : `${duration(tick)} old`;
    yield line("Newest price", price, !stale, "warn");
    const blind = status.blind_instruments.length;
    const what = blind === 1 ? "instrument" : "instruments";
    yield line("Prices missing", blind ? `${whole(blind)} ${what} BLIND` : "none", !blind);
    yield line("Order stream", status.order_stream, status.order_stream === "connected");
    yield line("Database", status.database, status.database === "open");
    for (const [name, state] of Object.entries(status.breakers)) {
      yield line(`Breaker, ${words(name)}`, words(state), state === "closed");
    }
    yield this.#token(status);
    const age = status.reconciled_age_seconds;
    yield line("Books compared", age === null ? "not yet" : `${duration(age)} ago`, age !== null);
    const wait = status.oldest_exit_wait_seconds;
    const waiting = wait > 0 ? `, an exit for ${duration(wait)}` : "";
    const queue = `${whole(status.permits_waiting)}${waiting}`;
    yield line("Waiting to be sent", queue, wait < 1, "warn");
  }

  #token(status) {
    if (status.token_is_refused) return line("Broker token", "refused", false);
    if (status.token_expires_at === null) return line("Broker token", NONE, true);
    const seconds = -this.#model.secondsSince(status.token_expires_at);
    if (seconds <= 0) return line("Broker token", "expired", false);
    const text = `${duration(seconds)} left`;
    return line("Broker token", text, seconds > TOKEN_SOON_SECONDS, "warn");
  }

  *#budget(status) {
    for (const [horizon, limit] of Object.entries(this.#model.replica.budgetLimits)) {
      const used = status.budget_used[horizon];
      const text = `${whole(used)} of ${whole(limit)}`;
      yield { ...line(`In this ${horizon}`, text, used < limit * FULL_SHARE, "warn"), used, limit };
    }
  }
}

function line(title, text, isWell, otherwise = "bad") {
  return { title, text, state: isWell ? "well" : otherwise };
}

function drawLines(list, lines) {
  keep(list, lines, {
    key: (each) => each.title,
    make: (each) => el("div", {}, el("dt", {}, each.title), el("dd"), meter(each)),
    update: (element, each) => {
      setAttribute(element, "data-state", each.state);
      setText(element.children[1], each.text);
      const bar = element.querySelector("meter");
      if (bar) bar.value = each.used;
    },
  });
}

function meter({ title, limit }) {
  if (!limit) return null;
  return el("dd", { class: "meter" }, el("meter", { max: limit, "aria-label": title }));
}
