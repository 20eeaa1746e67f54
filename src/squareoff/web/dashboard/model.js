// Everything that the page knows: the replica of the journal, live prices and levels, the engine's
// status, and how the connection stands. It notes what changed, so that views draw only that.

import * as decimal from "./decimal.js";
import { exitStep } from "./exit_step.js";
import { closedPart, instrumentKey, isFinal, isOfAnEndedDay, openProfit } from "./figures.js";

export class Model {
  constructor() {
    this.replica = null;
    this.prices = new Map();
    this.levels = new Map();
    this.status = null;
    this.connection = { state: "connecting", since: null, why: "" };
    this.isBehind = false;
    this.head = 0;
    this.told = [];
    this.steps = new Map();
    this.changes = newChanges();
    this.#setClock(Date.now());
  }

  #engineTime; // of the newest live event, and the page's own clock then
  #heardAt;

  #setClock(time) {
    this.#engineTime = time;
    this.#heardAt = performance.now();
  }

  /** The engine's clock now, in milliseconds. */
  now() {
    return this.#engineTime + performance.now() - this.#heardAt;
  }

  /** Seconds from an ISO instant until now by the engine's clock. */
  secondsSince(iso) {
    return (this.now() - Date.parse(iso)) / 1000;
  }

  /** Begin with a fresh replica; prices and levels stay until they are told anew. */
  begin(replica) {
    this.replica = replica;
    this.steps.clear();
    for (const tracker of replica.trackers.values()) this.#noteStep(tracker, null);
    this.changes.all = true;
  }

  /** Take one journal fact in; returns what the replica made of it. */
  takeFact(fact) {
    const outcome = this.replica.apply(fact);
    if (outcome !== "applied") return outcome;
    this.head = Math.max(this.head, fact.seq);
    this.changes.facts.push(fact);
    const tracker = this.replica.trackers.get(fact.tracker_id);
    if (tracker) {
      this.#noteStep(tracker, fact.time);
      this.changes.trackers.add(tracker.tracker_id);
    }
    return outcome;
  }

  /** Take a live event in. */
  takeLive(live) {
    this.#setClock(Date.parse(live.time));
    for (const price of live.prices ?? []) {
      const key = instrumentKey(price);
      this.prices.set(key, price);
      this.changes.instruments.add(key);
    }
    for (const levels of live.levels ?? []) {
      this.levels.set(levels.tracker_id, levels);
      const isShown = this.replica.trackers.has(levels.tracker_id);
      if (isShown) this.changes.trackers.add(levels.tracker_id);
    }
    if (live.status) this.status = live.status;
    this.head = live.head ?? this.head;
    this.isBehind = live.is_behind || this.head > this.replica.seq;
    if (live.status) this.changes.second = true;
  }

  /** Note how the connection stands. */
  setConnection(state, why = "") {
    if (this.connection.state === state && this.connection.why === why) return;
    const since = this.connection.state === state ? this.connection.since : this.now();
    this.connection = { state, since, why };
    this.changes.second = true;
  }

  /** Keep a text for a person until it is seen. */
  tell(text) {
    this.told = [...this.told, { text }];
    this.changes.second = true;
  }

  /** Forget a text that a person has seen. */
  forget(told) {
    this.told = this.told.filter((each) => each !== told);
    this.changes.second = true;
  }

  /** Return what changed since the last call. */
  drain() {
    const changes = this.changes;
    this.changes = newChanges();
    return changes;
  }

  /** Whether prices of a position's instrument are missing, as of the newest status. */
  isBlind(tracker) {
    const key = instrumentKey(tracker.instrument.instrument_id);
    return this.status?.blind_instruments.includes(key) ?? false;
  }

  /** Whether the engine counts no price of a position's instrument: its P&L is not known. */
  isUnseen(tracker) {
    const key = instrumentKey(tracker.instrument.instrument_id);
    return this.isBlind(tracker) || (this.status?.account?.unseen.includes(key) ?? false);
  }

  /** Whether the newest price of a position's instrument is older than rules trade on. */
  isStale(tracker) {
    const known = this.priceOf(tracker);
    if (known === null) return false;
    return this.secondsSince(known.received_at) > this.replica.staleAfterSeconds;
  }

  /** The newest price of a position's instrument, null where none was heard. */
  priceOf(tracker) {
    return this.prices.get(instrumentKey(tracker.instrument.instrument_id)) ?? null;
  }

  /** The last traded price of a position's instrument as text, null where none was heard. */
  lastOf(tracker) {
    return this.priceOf(tracker)?.last_traded_price ?? null;
  }

  /** The step of a position's exit, since when, and the steps before it. */
  stepOf(tracker) {
    return this.steps.get(tracker.tracker_id);
  }

  /**
   * Open and closed profit of today, as exact decimals; how many positions are not in it for want
   * of a good price or of a fill's (`unknown`), and how many stand at an old price (`stale`).
   * What was closed before today the engine tells, for a fold does not know of days.
   */
  profits() {
    const account = this.status?.account;
    const before = decimal.parse(account?.realized_before ?? "0");
    const sum = { open: 0n, closed: -before, unknown: 0, stale: 0 };
    for (const tracker of this.replica.trackers.values()) {
      if (account?.day && isOfAnEndedDay(tracker, account.day)) continue;
      const needsPrice = openProfit(tracker, null) === null;
      const open = openProfit(tracker, this.isUnseen(tracker) ? null : this.lastOf(tracker));
      const closed = closedPart(tracker);
      sum.open += open ?? 0n;
      sum.closed += closed.gain;
      if (open === null || !closed.isKnown) sum.unknown += 1;
      else if (needsPrice && this.isStale(tracker)) sum.stale += 1;
    }
    return sum;
  }

  /** Positions that can still change, and those that ended today, newest first. */
  positions() {
    const all = [...this.replica.trackers.values()];
    const ended = all.filter(isFinal).sort((a, b) => (a.exited_at < b.exited_at ? 1 : -1));
    return { open: all.filter((tracker) => !isFinal(tracker)), ended };
  }

  #noteStep(tracker, time) {
    const { step, text } = exitStep(tracker);
    const known = this.steps.get(tracker.tracker_id);
    if (known && known.step === step) {
      known.text = text;
      return;
    }
    const since = time ?? tracker.intent?.claimed_at ?? tracker.created_at;
    const trail = !known || step === "requested" || known.step === "watching" ? [] : known.trail;
    this.steps.set(tracker.tracker_id, { step, text, since, trail: [...trail, { step, since }] });
  }
}

function newChanges() {
  return { all: false, second: false, trackers: new Set(), instruments: new Set(), facts: [] };
}
