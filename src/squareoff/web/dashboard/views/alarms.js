// Alarms: those that stand first, each with a button that says a person has seen it, and one that
// shows the position it is about.

import { CallFailed } from "../api.js";
import { byId, el, empty, keep, setAttribute, setText } from "../dom.js";
import { isStanding } from "../figures.js";
import { clockAsOf, words } from "../format.js";

export class AlarmsView {
  #api;
  #model;
  #detail;
  #pressedAt = null; // the place in the list of the alarm that is being acknowledged

  constructor(api, model, detail) {
    this.#api = api;
    this.#model = model;
    this.#detail = detail;
    empty(byId("alarms"));
    empty(byId("seen"));
  }

  draw(changes) {
    const touched = changes.facts.some((fact) => fact.kind.startsWith("alarm_"));
    if (!changes.all && !touched) return;
    const all = [...this.#model.replica.alarms.values()].reverse();
    const open = all.filter(isStanding).sort((a, b) => loudness(b) - loudness(a));
    const seen = all.filter((alarm) => !isStanding(alarm));
    this.#drawList(byId("alarms"), open);
    this.#keepFocus();
    this.#drawList(byId("seen"), seen);
    byId("no-alarms").hidden = open.length > 0;
    byId("seen-alarms").hidden = seen.length === 0;
    setText(byId("seen-title"), `${seen.length} seen or over today`);
  }

  #drawList(list, alarms) {
    keep(list, alarms, {
      key: (alarm) => alarm.id,
      make: (alarm) => this.#item(alarm),
      update: (item, alarm) => this.#drawAlarm(item, alarm),
    });
  }

  #item(alarm) {
    const item = el(
      "li",
      { "data-alarm": alarm.id },
      el("p", { class: "alarm-head" }),
      el("p", { class: "alarm-text" }),
    );
    const name = `alarm ${alarm.id}, ${words(alarm.code)}`;
    if (isStanding(alarm)) {
      const press = (event) => this.#acknowledge(alarm.id, event.currentTarget);
      const given = { type: "button", "aria-label": `Acknowledge ${name}`, click: press };
      item.append(el("button", { ...given, class: "acknowledge" }, "Acknowledge"));
    }
    const show = () => this.#detail.show(alarm.tracker_id);
    const label = `Show position of ${name}`;
    const given = { type: "button", "aria-label": label, "aria-controls": "detail", click: show };
    item.append(el("button", { ...given, class: "quiet show" }, "Show position"));
    return item;
  }

  #drawAlarm(item, alarm) {
    drawAlarm(item, alarm, this.#model.now());
    const isShown = this.#model.replica.trackers.has(alarm.tracker_id);
    item.querySelector(".show").hidden = !isShown;
  }

  async #acknowledge(id, button) {
    this.#pressedAt = [...byId("alarms").children].indexOf(button.closest("li"));
    button.disabled = true;
    try {
      await this.#api.post(`/alarms/${id}/acknowledge`);
      setText(byId("said"), `Alarm ${id} acknowledged`);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      button.disabled = false;
      if (isFocusLost()) button.focus();
      this.#pressedAt = null;
      setText(button, `Failed: ${error.message}. Again?`);
    }
  }

  /** Once an alarm is acknowledged its button is gone: the focus goes to the next one's. */
  #keepFocus() {
    const buttons = [...byId("alarms").querySelectorAll(".acknowledge")];
    const isGone = this.#pressedAt !== null && !buttons.some((button) => button.disabled);
    if (!isGone) return;
    const next = buttons[Math.min(this.#pressedAt, buttons.length - 1)];
    this.#pressedAt = null;
    if (isFocusLost()) (next ?? byId("alarms-panel")).focus();
  }
}

/** Whether what had the focus can have it no more. */
function isFocusLost() {
  const active = document.activeElement;
  return active === null || active === document.body || active.disabled;
}

function loudness(alarm) {
  return alarm.severity === "critical" ? 1 : 0;
}

function drawAlarm(item, alarm, now) {
  const at = (iso) => clockAsOf(iso, now);
  const times = alarm.repeats ? ` · told ${alarm.repeats + 1} times` : "";
  const end = alarm.cleared_at ? ` · over ${at(alarm.cleared_at)}` : "";
  const seen = alarm.acknowledged_at ? ` · seen ${at(alarm.acknowledged_at)}` : "";
  const severity = alarm.severity.toUpperCase();
  const head = `${severity} · ${words(alarm.code)} · ${at(alarm.raised_at)}`;
  setText(item.querySelector(".alarm-head"), head + times + end + seen);
  setText(item.querySelector(".alarm-text"), alarm.message);
  setAttribute(item, "data-severity", alarm.severity);
  setAttribute(item, "data-standing", isStanding(alarm));
}
