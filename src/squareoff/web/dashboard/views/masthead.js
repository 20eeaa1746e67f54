// The top of the page: mode, connection, clock, the three big buttons, and what must not be missed.

import { byId, el, empty, keep, setAttribute, setText } from "../dom.js";
import { isStanding } from "../figures.js";
import { clock } from "../format.js";

const MODES = {
  paper: () => "PAPER · no order leaves this machine",
  live: ({ broker, account }) => `LIVE · orders go to ${broker} · account ${account}`,
};

export class MastheadView {
  #model;

  constructor(model, controls, onLogOut) {
    this.#model = model;
    empty(byId("notices"));
    const sizes = new ResizeObserver(tellCovered);
    for (const element of [byId("masthead"), byId("masthead").firstElementChild]) {
      sizes.observe(element);
    }
    byId("exit-all").onclick = () => controls.exitAll();
    byId("halt").onclick = () => controls.halt();
    byId("log-out").onclick = onLogOut;
    document.onkeydown = (event) => {
      if (event.key !== "F6" || byId("desk").hidden) return;
      event.preventDefault(); // of a held key too: the browser's own F6 would take the focus away
      if (!event.repeat) controls.exitAll();
    };
  }

  draw(changes) {
    if (!changes.all && !changes.second && !changes.facts.length) return;
    const { replica } = this.#model;
    setText(byId("mode"), MODES[replica.mode]?.(replica) ?? replica.mode);
    setAttribute(document.body, "data-mode", replica.mode);
    setText(byId("account"), `account ${replica.account}`);
    setText(byId("clock"), `${clock(new Date(this.#model.now()).toISOString())} IST`);
    setText(byId("halt"), replica.killSwitch.active ? "Halt or resume…" : "Halt…");
    this.#drawConnection();
    this.#drawNotices();
    const open = [...replica.alarms.values()].filter(isStanding).length;
    const alarms = open ? `(${open}) ` : "";
    const gone = this.#model.connection.state === "disconnected" ? "NO CONNECTION · " : "";
    document.title = `${gone}${alarms}${replica.mode.toUpperCase()} · squareoff`;
  }

  #drawConnection() {
    const { connection, isBehind } = this.#model;
    const isCurrent = connection.state === "connected" && !isBehind;
    const state = connection.state === "connected" && isBehind ? "behind" : connection.state;
    setAttribute(document.body, "data-connection", state);
    const texts = { connected: "connected", behind: "catching up", disconnected: "disconnected" };
    setText(byId("connection"), isCurrent ? "connected" : (texts[state] ?? "connecting"));
  }

  #drawNotices() {
    keep(byId("notices"), [...this.#notices()], {
      key: (notice) => notice.key,
      make: noticeOf,
      update: (element, notice) => {
        setAttribute(element, "class", `notice ${notice.kind}`);
        setText(element.firstChild, notice.text);
      },
    });
  }

  *#notices() {
    const { connection, isBehind, replica, status } = this.#model;
    if (connection.state === "disconnected") {
      const since = clock(new Date(connection.since).toISOString());
      const why = connection.why ? ` (${connection.why})` : "";
      yield {
        key: "connection", kind: "critical",
        text: `No connection to the engine since ${since}${why}. What you see is as of then; ` +
          "exits that were asked for go on without this page.",
      };
    } else if (isBehind || connection.state === "behind") {
      const facts = Math.max(0, this.#model.head - replica.seq);
      const left = facts ? `: ${facts} facts to go` : "";
      yield {
        key: "connection", kind: "warning",
        text: `Behind the journal${left}. What you see is not the newest.`,
      };
    }
    for (const told of this.#model.told) {
      const seen = () => this.#model.forget(told);
      yield { key: told, kind: "critical", text: told.text, seen };
    }
    if (replica.killSwitch.active) {
      const { level, reason } = replica.killSwitch;
      const what = level === "all" ? "nothing is sent, not even exits" : "only exits are sent";
      yield { key: "halt", kind: "critical", text: `Halted, level ${level}: ${what} (${reason})` };
    }
    const critical = [...replica.alarms.values()].filter(
      (alarm) => alarm.severity === "critical" && isStanding(alarm),
    );
    if (critical.length) {
      const more = critical.length > 1 ? ` (and ${critical.length - 1} more)` : "";
      yield { key: "alarm", kind: "critical", text: `Alarm: ${critical.at(-1).message}${more}` };
    }
    if (replica.exitAll?.outcome === "running") {
      const since = clock(replica.exitAll.asked_at); // seconds that count would all be read out
      yield {
        key: "exit-all", kind: "warning",
        text: `Closing everything since ${since}: ${replica.exitAll.reason}`,
      };
    }
    if (connection.state === "connected" && status && !status.is_ready) {
      yield {
        key: "ready", kind: "critical",
        text: `Exits would not go out now: ${status.not_ready_because.join("; ")}`,
      };
    }
  }
}

/** Say how much of the page's top stays covered: what the focus moves to is scrolled below it. */
function tellCovered() {
  const masthead = byId("masthead");
  const stuck = [masthead, masthead.firstElementChild].find(
    (element) => getComputedStyle(element).position === "sticky" && element.offsetHeight,
  );
  const covered = `${stuck?.offsetHeight ?? 0}px`;
  document.documentElement.style.setProperty("--covered", covered);
}

function noticeOf({ seen }) {
  const button = seen && el("button", { type: "button", click: seen }, "Seen");
  return el("p", {}, el("span"), button);
}
