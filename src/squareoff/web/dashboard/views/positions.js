// The positions, one row each: what is held, at what price, how far from its levels, and what the
// engine does about it right now. A row draws itself anew only where something of it changed, facts
// before prices and clocks; hundreds of rows are drawn in slices, so that none holds up a frame.

import { byId, el, keep, setAttribute, setText } from "../dom.js";
import {
  closedProfit, instrumentKey, isFinal, nearestLevel, openQuantity, profit,
} from "../figures.js";
import {
  clock, direction, distance, duration, money, NONE, price, whole, words,
} from "../format.js";
import { canBeExited, hasLiveIntent } from "../tracker_fold.js";

const OPEN_COLUMNS = [
  ["symbol", "Position"], ["quantity", "Open"], ["entry", "Entry"], ["last", "Last"],
  ["profit", "P&L"], ["stop", "Stop"], ["target", "Target"], ["nearest", "To trigger"],
  ["step", "Engine now"], ["action", "Action"],
];
const ENDED_COLUMNS = [
  ["symbol", "Position"], ["quantity", "Quantity"], ["entry", "Entry"], ["last", "Exit"],
  ["profit", "P&L"], ["step", "How it ended"], ["time", "Time"],
];
const NEAR_PERCENT = 0.1; // nearer than this a level stands out
const SLICE_MS = 5; // a third of a frame: the rest is left to layout, painting and the hand
const STEP_WORDS = { part_filled: "part filled", needs_human: "needs a person" };

export class PositionsView {
  #model;
  #controls;
  #detail;
  #openRows;
  #endedRows;
  #rowsOf = new Map();
  #told = new Set(); // rows to be drawn in full, those first that wait longest
  #priced = new Map(); // open rows of which a part is to be drawn, and which

  constructor(model, controls, detail) {
    this.#model = model;
    this.#controls = controls;
    this.#detail = detail;
    this.#openRows = table(byId("open-positions"), "Open positions", OPEN_COLUMNS);
    this.#endedRows = table(byId("ended-positions"), "Positions that ended today", ENDED_COLUMNS);
  }

  draw(changes) {
    if (changes.all || [...changes.trackers].some((id) => this.#isMisplaced(id))) this.#placeRows();
    this.#note(changes);
    this.#drawSlice();
  }

  /** Whether a position has no row, or one in the table that it left. */
  #isMisplaced(id) {
    const rows = isFinal(this.#model.replica.trackers.get(id)) ? this.#endedRows : this.#openRows;
    return !rows.kept?.has(id);
  }

  /** Put every row in its place; what is in it is drawn later. */
  #placeRows() {
    const { open, ended } = this.#model.positions();
    this.#rowsOf.clear();
    keep(this.#openRows, open, {
      key: (tracker) => tracker.tracker_id,
      make: (tracker) => this.#openRow(tracker),
      update: (_, tracker) => this.#index(tracker),
    });
    keep(this.#endedRows, ended, {
      key: (tracker) => tracker.tracker_id,
      make: (tracker) => this.#row(tracker, ENDED_COLUMNS),
      update: () => {},
    });
    byId("open-positions").hidden = open.length === 0;
    byId("no-positions").hidden = open.length > 0;
    byId("ended-positions").hidden = byId("ended-title").hidden = ended.length === 0;
  }

  /** Open positions by instrument, so that a price finds its rows at once. */
  #index(tracker) {
    const key = instrumentKey(tracker.instrument.instrument_id);
    if (!this.#rowsOf.has(key)) this.#rowsOf.set(key, []);
    this.#rowsOf.get(key).push(tracker.tracker_id);
  }

  /** Note which rows are to be drawn, and how much of them. */
  #note(changes) {
    const all = changes.all ? [...this.#openRows.kept.keys(), ...this.#endedRows.kept.keys()] : [];
    for (const id of [...all, ...changes.trackers]) this.#told.add(id);
    for (const key of changes.instruments) {
      for (const id of this.#rowsOf.get(key) ?? []) this.#priced.set(id, this.#drawPrice);
    }
    if (!changes.second) return;
    for (const id of this.#openRows.kept?.keys() ?? []) {
      if (!this.#priced.has(id)) this.#priced.set(id, this.#drawClocks);
    }
  }

  /** Draw for a slice of the frame; the rest waits for the next one. */
  #drawSlice() {
    const end = performance.now() + SLICE_MS;
    for (const id of this.#told) {
      this.#told.delete(id);
      this.#priced.delete(id);
      this.#drawWhole(this.#model.replica.trackers.get(id));
      if (performance.now() >= end) return;
    }
    for (const [id, drawPart] of this.#priced) {
      this.#priced.delete(id);
      const row = this.#openRows.kept.get(id);
      if (row) drawPart.call(this, row, this.#model.replica.trackers.get(id));
      if (performance.now() >= end) return;
    }
  }

  #drawWhole(tracker) {
    if (!tracker) return; // of a replica before this one
    if (isFinal(tracker)) this.#drawEnded(this.#endedRows.kept.get(tracker.tracker_id), tracker);
    else this.#drawOpen(this.#openRows.kept.get(tracker.tracker_id), tracker);
  }

  #drawClocks(row, tracker) {
    this.#drawAge(row, tracker);
    this.#drawStepClock(row, tracker);
  }

  #row(tracker, columns) {
    const cells = columns.map(([name, title]) =>
      el("div", { role: "cell", class: `cell ${name}`, "data-title": title }),
    );
    const given = { role: "row", class: "row", "data-tracker": tracker.tracker_id };
    const row = el("div", given, ...cells);
    row.cells = Object.fromEntries(columns.map(([name], place) => [name, cells[place]]));
    const open = () => this.#detail.toggle(tracker.tracker_id);
    const name = el(
      "button",
      { type: "button", class: "symbol-name", click: open, "aria-controls": "detail" },
      tracker.instrument.trading_symbol,
    );
    const kind = `${words(tracker.side)} · ${words(tracker.product_type)}`;
    row.cells.symbol.append(name, el("span", { class: "muted kind" }, kind));
    return row;
  }

  #openRow(tracker) {
    const row = this.#row(tracker, OPEN_COLUMNS);
    const { last, step, action } = row.cells;
    row.parts = {
      last: el("span", { class: "figure" }),
      age: el("span", { class: "muted age" }),
      word: el("span", { class: "step-word" }),
      since: el("span", { class: "muted since figure" }),
      trail: el("span", { class: "muted trail" }),
    };
    last.append(row.parts.last, row.parts.age);
    step.append(row.parts.word, row.parts.since, row.parts.trail);
    const { instrument, side, product_type: product } = tracker;
    const label = `Exit ${instrument.trading_symbol}, ${words(side)} ${words(product)}…`;
    const exit = () => this.#controls.exit(tracker.tracker_id);
    action.append(el("button", { type: "button", "aria-label": label, click: exit }, "Exit…"));
    return row;
  }

  #drawOpen(row, tracker) {
    const levels = this.#model.levels.get(tracker.tracker_id);
    const { cells, parts } = row;
    const open = whole(openQuantity(tracker));
    const isPart = openQuantity(tracker) !== tracker.quantity;
    setText(cells.quantity, isPart ? `${open} / ${whole(tracker.quantity)}` : open);
    setText(cells.entry, price(tracker.entry_price));
    setText(cells.stop, price(levels?.stop_level));
    setAttribute(cells.stop, "title", levels?.stop_rule ? words(levels.stop_rule) : null);
    setText(cells.target, price(levels?.target_level));
    const { step, text, trail } = this.#model.stepOf(tracker);
    setAttribute(row, "data-status", tracker.status);
    setAttribute(row, "data-step", step);
    setText(parts.word, text);
    const walked = trail.map((each) => STEP_WORDS[each.step] ?? each.step);
    setText(parts.trail, walked.length > 1 ? walked.join(" › ") : "");
    setAttribute(row, "data-busy", hasLiveIntent(tracker));
    row.querySelector(".action button").disabled = !canBeExited(tracker);
    this.#drawPrice(row, tracker);
  }

  #drawPrice(row, tracker) {
    const last = this.#model.lastOf(tracker);
    setText(row.parts.last, price(last));
    this.#drawClocks(row, tracker);
    drawMoney(row.cells.profit, profit(tracker, last));
    this.#drawNearest(row, tracker, last);
  }

  #drawNearest(row, tracker, last) {
    if (hasLiveIntent(tracker)) {
      const { rule, level } = tracker.intent.trigger;
      setText(row.cells.nearest, level === null ? words(rule) : `fired at ${price(level)}`);
      setAttribute(row.cells.nearest, "data-near", false);
      return;
    }
    const levels = this.#model.levels.get(tracker.tracker_id);
    const nearest = nearestLevel(tracker, levels, last);
    const text = nearest && `${nearest.name} ${distance(nearest.points, nearest.percent)}`;
    setText(row.cells.nearest, text ?? NONE);
    const isNear = nearest !== null && nearest.percent < NEAR_PERCENT;
    setAttribute(row.cells.nearest, "data-near", isNear);
  }

  #drawAge(row, tracker) {
    const known = this.#model.priceOf(tracker);
    const seconds = known ? this.#model.secondsSince(known.received_at) : null;
    const isStale = this.#model.isStale(tracker);
    const age = seconds === null ? "no price yet" : `${duration(seconds)} old`;
    setText(row.parts.age, this.#model.isBlind(tracker) ? `BLIND, ${age}` : age);
    setAttribute(row.cells.last, "data-stale", isStale || seconds === null);
    setAttribute(row, "data-blind", this.#model.isBlind(tracker));
  }

  #drawStepClock(row, tracker) {
    const { step, since } = this.#model.stepOf(tracker);
    const isWatching = step === "watching" || step === "pending";
    const seconds = this.#model.secondsSince(since);
    setText(row.parts.since, isWatching ? "" : `for ${duration(seconds)}`);
  }

  #drawEnded(row, tracker) {
    const { cells } = row;
    setAttribute(row, "data-status", tracker.status);
    setAttribute(row, "data-step", tracker.status.toLowerCase());
    setText(cells.quantity, whole(tracker.quantity));
    setText(cells.entry, price(tracker.entry_price));
    setText(cells.last, price(tracker.exit_price));
    drawMoney(cells.profit, closedProfit(tracker));
    setText(cells.step, tracker.exit_reason ?? words(tracker.status));
    setText(cells.time, clock(tracker.exited_at));
  }
}

function drawMoney(cell, value) {
  setText(cell, money(value));
  setAttribute(cell, "data-direction", direction(value));
}

function table(container, label, columns) {
  const heads = columns.map(([name, title]) =>
    el("div", { role: "columnheader", class: `cell ${name}` }, title),
  );
  const rows = el("div", { role: "rowgroup", class: "rows" });
  const head = el("div", { role: "rowgroup", class: "heads" },
    el("div", { role: "row", class: "row" }, ...heads));
  const given = { role: "table", "aria-label": label, class: "table" };
  container.replaceChildren(el("div", given, head, rows));
  return rows;
}
