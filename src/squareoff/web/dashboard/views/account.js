// The account in figures: profit of today, open and closed, and how many positions do what.

import { byId, el, setAttribute, setText } from "../dom.js";
import { direction, money, whole } from "../format.js";

const COUNTED = ["ACTIVE", "EXITING", "PENDING", "EXITED"];
const COUNT_TITLES = {
  ACTIVE: "Watched", EXITING: "Exiting", PENDING: "Entering", EXITED: "Exited",
};

const OPEN_ONES = ["profit", "open"]; // figures that prices move
const PAUSE_MS = 250; // the sums over all positions are drawn no more often: nobody reads faster

export class AccountView {
  #model;
  #figures = new Map();
  #isBehind = false;
  #drawnAt = -Infinity;

  constructor(model) {
    this.#model = model;
    const list = el("dl", { class: "figures" });
    this.#add(list, "profit", "P&L today", "large");
    this.#add(list, "open", "Open");
    this.#add(list, "closed", "Realised");
    for (const status of COUNTED) this.#add(list, status, COUNT_TITLES[status]);
    this.note = el("p", { class: "muted", id: "profit-note", hidden: true });
    byId("summary").replaceChildren(list, this.note);
  }

  #add(list, name, title, extra = "") {
    const value = el("dd", { class: `figure ${extra}`, id: `figure-${name}` });
    this.#figures.set(name, value);
    list.append(el("div", {}, el("dt", {}, title), value));
  }

  draw(changes) {
    // At once, as the rows are: a page that shows an exit under way counts it.
    if (changes.all || changes.trackers.size > 0) this.#drawCounts();
    this.#isBehind ||= changes.trackers.size > 0 || changes.instruments.size > 0;
    const isDue = this.#isBehind && performance.now() - this.#drawnAt >= PAUSE_MS;
    if (!changes.all && !changes.second && !isDue) return; // prices age by the second
    this.#isBehind = false;
    this.#drawnAt = performance.now();
    const profits = this.#model.profits();
    this.#drawMoney("profit", profits.open + profits.closed);
    this.#drawMoney("open", profits.open);
    this.#drawMoney("closed", profits.closed);
    const note = noteOf(profits, this.#model.replica.staleAfterSeconds);
    this.note.hidden = note === "";
    setText(this.note, note);
    for (const name of OPEN_ONES) setAttribute(this.#figures.get(name), "data-noted", note !== "");
  }

  #drawMoney(name, value) {
    const figure = this.#figures.get(name);
    setText(figure, money(value));
    setAttribute(figure, "data-direction", direction(value));
  }

  #drawCounts() {
    const counts = Object.fromEntries(COUNTED.map((status) => [status, 0]));
    for (const tracker of this.#model.replica.trackers.values()) counts[tracker.status] += 1;
    for (const status of COUNTED) setText(this.#figures.get(status), whole(counts[status]));
  }
}

function noteOf({ unknown, stale }, seconds) {
  const parts = [];
  if (unknown) parts.push(`${whole(unknown)} without a good price not in it`);
  if (stale) parts.push(`${whole(stale)} at a price older than ${whole(seconds)} s`);
  return parts.length ? `* ${parts.join(", ")}.` : "";
}
