// One position in full: its chart, its orders, its rules, and its journal as a timeline.

import { CallFailed } from "../api.js";
import { byId, el, empty, keep, setAttribute, setText } from "../dom.js";
import { fillText } from "../exit_step.js";
import { instrumentKey } from "../figures.js";
import { clockFine, price, whole, words } from "../format.js";
import { Chart } from "./chart.js";

const CHART_AGAIN_MS = 5000; // prices arrive by themselves; the rest after facts

export class DetailView {
  #api;
  #model;
  #shown = null;

  constructor(api, model, controls) {
    this.#api = api;
    this.#model = model;
    this.controls = controls;
    empty(byId("detail"));
    byId("detail").hidden = true;
    byId("detail").onkeydown = (event) => {
      if (event.key === "Escape") this.close();
    };
  }

  /** Show a position, or close it where it is shown. */
  toggle(trackerId) {
    if (this.#shown?.id === trackerId) this.close();
    else this.#open(trackerId);
  }

  /** Show a position that the replica holds, and give it the focus. */
  show(trackerId) {
    if (this.#shown?.id === trackerId) this.#goThere();
    else this.#open(trackerId);
  }

  /** Close, and give the focus back to the row. */
  close() {
    if (!this.#shown) return;
    const row = document.querySelector(`[data-tracker="${CSS.escape(this.#shown.id)}"]`);
    this.#mark(false);
    this.#shown = null;
    byId("detail").hidden = true;
    row?.querySelector(".symbol-name")?.focus();
  }

  draw(changes) {
    const shown = this.#shown;
    if (!shown) return;
    const tracker = this.#model.replica.trackers.get(shown.id);
    if (!tracker) return this.close();
    const mine = changes.facts.filter((fact) => fact.tracker_id === shown.id);
    this.#addFacts(shown, mine);
    if (changes.all || mine.length || shown.isNew) {
      shown.isNew = false;
      this.#drawState(shown, tracker);
    }
    const key = instrumentKey(tracker.instrument.instrument_id);
    if (changes.instruments.has(key)) shown.chart.addPrice(this.#model.priceOf(tracker));
    const isOld = performance.now() - shown.chartAt > CHART_AGAIN_MS;
    if (mine.length || changes.all || (isOld && changes.second)) this.#readChart(shown);
  }

  #open(trackerId) {
    if (this.#shown) this.#mark(false);
    const parts = {
      id: trackerId,
      isNew: true,
      chart: new Chart(),
      chartAt: 0,
      isReading: false,
      facts: new Map(),
      state: el("dl", { class: "facts" }),
      orders: el("ul", { class: "orders" }),
      timeline: el("ol", { class: "timeline", tabindex: "0", "aria-label": "Journal" }),
      error: el("p", { class: "error", role: "alert" }),
    };
    this.#shown = parts;
    const tracker = this.#model.replica.trackers.get(trackerId);
    const kind = ` ${words(tracker.side)} · ${words(tracker.product_type)}`;
    const close = el("button", { type: "button", click: () => this.close() }, "Close");
    const { trading_symbol: symbol } = tracker.instrument;
    const title = el("h2", { id: "detail-title" }, symbol, el("span", { class: "muted" }, kind));
    byId("detail").replaceChildren(
      el("div", { class: "detail-head" }, title, close),
      parts.error,
      parts.chart.element,
      parts.state,
      el("h3", {}, "Orders"),
      parts.orders,
      el("h3", {}, "Journal"),
      parts.timeline,
    );
    byId("detail").hidden = false;
    this.#mark(true);
    this.#goThere();
    this.#readJournal(parts);
    this.#readChart(parts);
  }

  #goThere() {
    byId("detail").focus({ preventScroll: true });
    byId("detail").scrollIntoView({ block: "nearest" });
  }

  #mark(isOpen) {
    const rows = document.querySelectorAll(`.row[data-tracker="${CSS.escape(this.#shown.id)}"]`);
    for (const row of rows) {
      setAttribute(row.querySelector(".symbol-name"), "aria-expanded", isOpen ? "true" : "false");
    }
  }

  async #readJournal(shown) {
    const path = `/trackers/${encodeURIComponent(shown.id)}/journal`;
    try {
      let after = 0;
      while (after !== null && this.#shown === shown) {
        const page = await this.#api.get(`${path}?after=${after}`);
        this.#addFacts(shown, page.items);
        after = page.next;
      }
    } catch (error) {
      fail(shown, error);
    }
  }

  async #readChart(shown) {
    if (shown.isReading) {
      shown.chartAt = 0;
      return;
    }
    shown.isReading = true;
    shown.chartAt = performance.now();
    try {
      const chart = await this.#api.get(`/trackers/${encodeURIComponent(shown.id)}/chart`);
      if (this.#shown === shown) shown.chart.draw(chart);
    } catch (error) {
      fail(shown, error);
    } finally {
      shown.isReading = false;
    }
  }

  #addFacts(shown, facts) {
    const fresh = facts.filter((fact) => !shown.facts.has(fact.seq));
    if (!fresh.length) return;
    for (const fact of fresh) shown.facts.set(fact.seq, fact);
    keep(shown.timeline, [...shown.facts.values()].sort((a, b) => b.seq - a.seq), {
      key: (fact) => fact.seq,
      make: timelineItem,
      update: () => {},
    });
  }

  #drawState(shown, tracker) {
    const intent = tracker.intent;
    const lines = [
      ["Status", words(tracker.status)],
      ["Engine now", this.#model.stepOf(tracker)?.text ?? ""],
      ["Exit asked for", intent ? `${intent.reason} (${words(intent.trigger.rule)})` : "no"],
      ["Trigger", triggerText(intent?.trigger)],
      ["Attempts", intent ? whole(intent.attempt) : "0"],
      ["Rules", rulesText(tracker.rules)],
      ["Id", tracker.tracker_id],
    ];
    keep(shown.state, lines, {
      key: ([title]) => title,
      make: ([title]) => el("div", {}, el("dt", {}, title), el("dd")),
      update: (element, [, text]) => setText(element.children[1], text),
    });
    keep(shown.orders, tracker.orders, {
      key: (order) => order.client_order_id,
      make: (order) => el("li", { "data-order": order.client_order_id }),
      update: (element, order) => {
        setAttribute(element, "data-state", order.state);
        setText(element, orderText(order));
      },
    });
  }
}

function fail(shown, error) {
  if (!(error instanceof CallFailed)) throw error;
  setText(shown.error, error.message);
}

function timelineItem(fact) {
  return el(
    "li",
    { "data-kind": fact.kind, "data-seq": fact.seq },
    el("time", { class: "figure", datetime: fact.time }, clockFine(fact.time)),
    el("span", {}, fact.text),
  );
}

function triggerText(trigger) {
  if (!trigger) return "none";
  if (trigger.level === null) return words(trigger.rule);
  return `${words(trigger.rule)} at ${price(trigger.level)}, seen ${price(trigger.price)}`;
}

function orderText(order) {
  const limit = order.limit_price;
  const at = limit === null ? words(order.order_type) : `limit ${price(limit)}`;
  const failure = order.failure_text ? ` · ${order.failure_text}` : "";
  const moves = order.modifications ? ` · moved ${order.modifications} times` : "";
  return (
    `${words(order.role)} ${order.side} ${fillText(order)} · ${at} · ${words(order.state)}` +
    `${moves}${failure} · ${order.client_order_id}`
  );
}

function rulesText(rules) {
  const names = Object.keys(rules);
  if (!names.length) return "none";
  return names.map((name) => `${words(name)} ${ruleText(rules[name])}`).join("; ");
}

function ruleText(rule) {
  if (typeof rule !== "object" || rule === null) return String(rule);
  if (Array.isArray(rule)) return rule.map(ruleText).join(", ");
  return Object.entries(rule).map(([name, value]) => `${value} ${words(name)}`).join(", ");
}
