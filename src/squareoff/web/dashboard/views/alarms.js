// Alarms: those that stand first, each with a button that says a person has seen it.

import { CallFailed } from "../api.js";
import { byId, el, empty, keep, setAttribute, setText } from "../dom.js";
import { isStanding } from "../figures.js";
import { clockAsOf, words } from "../format.js";

export class AlarmsView {
  #api;
  #model;

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
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
    this.#drawList(byId("seen"), seen);
    byId("no-alarms").hidden = open.length > 0;
    byId("seen-alarms").hidden = seen.length === 0;
    setText(byId("seen-title"), `${seen.length} seen or over today`);
  }

  #drawList(list, alarms) {
    keep(list, alarms, {
      key: (alarm) => alarm.id,
      make: (alarm) => this.#item(alarm),
      update: (item, alarm) => drawAlarm(item, alarm, this.#model.now()),
    });
  }

  #item(alarm) {
    const item = el(
      "li",
      { "data-alarm": alarm.id },
      el("p", { class: "alarm-head" }),
      el("p", { class: "alarm-text" }),
    );
    if (isStanding(alarm)) {
      const label = `Acknowledge alarm ${alarm.id}, ${words(alarm.code)}`;
      const press = (event) => this.#acknowledge(alarm.id, event.currentTarget);
      const given = { type: "button", "aria-label": label, click: press };
      item.append(el("button", given, "Acknowledge"));
    }
    return item;
  }

  async #acknowledge(id, button) {
    button.disabled = true;
    try {
      await this.#api.post(`/alarms/${id}/acknowledge`);
      setText(byId("said"), `Alarm ${id} acknowledged`);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      button.disabled = false;
      setText(button, `Failed: ${error.message}. Again?`);
    }
  }
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
