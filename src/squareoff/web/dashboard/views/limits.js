// The day's P&L against the rules of the account: how far each is away, and which have fired.

import * as decimal from "../decimal.js";
import { byId, el, setAttribute, setText } from "../dom.js";
import { clock, money, NONE, words } from "../format.js";

const TITLES = {
  max_loss: "Max loss", trailing: "Trailing stop", target: "Target", square_off_at: "Square-off",
};

export class LimitsView {
  #model;
  #limits = new Map();

  constructor(model) {
    this.#model = model;
    this.list = el("dl", { class: "figures", id: "limits", hidden: true });
    for (const rule of Object.keys(TITLES)) this.#add(rule);
    this.note = el("p", { class: "muted", id: "limits-note", hidden: true });
    byId("summary").append(this.list, this.note);
  }

  #add(rule) {
    const value = el("dd", { class: "figure", id: `limit-${rule}` });
    const away = el("dd", { class: "away", id: `away-${rule}` });
    const block = el("div", { hidden: true }, el("dt", {}, TITLES[rule]), value, away);
    this.#limits.set(rule, { block, value, away });
    this.list.append(block);
  }

  draw(changes) {
    const account = this.#model.status?.account;
    if (!account || !(changes.all || changes.second)) return;
    const pnl = parsed(account.pnl);
    const loss = account.max_loss === null ? null : -decimal.parse(account.max_loss);
    this.#drawLevel(account, "max_loss", loss, pnl === null ? null : pnl - (loss ?? 0n));
    const stop = parsed(account.trailing_stop);
    this.#drawLevel(account, "trailing", stop, pnl === null || stop === null ? null : pnl - stop);
    if (account.trailing_activation !== null) this.#drawTrailing(account, stop);
    const target = parsed(account.target);
    this.#drawLevel(account, "target", target, pnl === null ? null : (target ?? 0n) - pnl);
    this.#drawTime(account);
    const blocks = [...this.#limits.values()].map((limit) => limit.block);
    this.list.hidden = blocks.every((block) => block.hidden);
    this.#drawNote(account);
  }

  #drawLevel(account, rule, level, away) {
    const limit = this.#limits.get(rule);
    limit.block.hidden = level === null;
    setText(limit.value, money(level));
    const distance = away === null ? "P&L not known" : `${money(away).replace("+", "")} away`;
    this.#drawState(account, rule, distance);
  }

  #drawTrailing(account, stop) {
    const limit = this.#limits.get("trailing");
    limit.block.hidden = false;
    if (stop !== null) return;
    setText(limit.value, NONE);
    const from = money(decimal.parse(account.trailing_activation));
    this.#drawState(account, "trailing", `holds from ${from}`);
  }

  #drawTime(account) {
    const limit = this.#limits.get("square_off_at");
    limit.block.hidden = account.square_off_at === null;
    setText(limit.value, account.square_off_at ?? NONE);
    this.#drawState(account, "square_off_at", "IST, what is intraday");
  }

  #drawState(account, rule, text) {
    const limit = this.#limits.get(rule);
    const hasFired = account.fired.includes(rule);
    setText(limit.away, hasFired ? "fired today" : text);
    setAttribute(limit.block, "data-fired", hasFired);
  }

  #drawNote(account) {
    const parts = [];
    if (account.fired_reason !== null) {
      const at = clock(account.fired_at);
      parts.push(`Told to close everything at ${at}: ${account.fired_reason}.`);
    }
    if (account.unseen.length && !this.list.hidden) {
      const rules = ["target", "trailing"].map(words).join(" and ");
      parts.push(`No good price of ${account.unseen.join(", ")}: ${rules} wait for it.`);
    }
    this.note.hidden = parts.length === 0;
    setText(this.note, parts.join(" "));
  }
}

function parsed(text) {
  return text === null ? null : decimal.parse(text);
}
