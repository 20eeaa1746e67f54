// Exit, exit all, halt and resume: each asks first, and shows exactly what will be sent.

import { CallFailed } from "../api.js";
import { byId, el, setText } from "../dom.js";
import { price, whole, words } from "../format.js";

export class Controls {
  #api;
  #model;

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
  }

  /** Ask, then close one position. */
  exit(trackerId) {
    const tracker = this.#model.replica.trackers.get(trackerId);
    const path = `/trackers/${encodeURIComponent(trackerId)}/exit`;
    this.#ask({
      title: `Exit ${tracker.instrument.trading_symbol}?`,
      reason: "exit by hand",
      confirm: "Exit this position",
      preview: () => this.#previewExits(`?tracker_id=${encodeURIComponent(trackerId)}`),
      path,
      body: (reason) => ({ reason, wait: "claimed" }),
    });
  }

  /** Ask, then close everything. */
  exitAll() {
    this.#ask({
      title: "Exit all positions?",
      reason: "exit all by hand",
      confirm: "Exit all",
      note: "New entries are halted (level new) until somebody resumes; resting entries are cancelled.",
      preview: () => this.#previewExits(""),
      path: "/exit-all",
      body: (reason) => ({ reason }),
    });
  }

  /** Ask for a level, then set the kill switch. */
  halt() {
    const { active, level } = this.#model.replica.killSwitch;
    const choices = [
      ["new", "No new entries: only exits are sent"],
      ["all", "Nothing at all: exits wait too, cancels still go"],
    ];
    if (active) choices.unshift(["resume", "Resume: entries and exits are sent again"]);
    this.#ask({
      title: active ? `Halted, level ${level}` : "Halt?",
      reason: active ? "resume by hand" : "halt by hand",
      confirm: "Set it",
      choices,
      path: "/kill-switch",
      body: (reason, choice) => ({
        active: choice !== "resume", level: choice === "all" ? "all" : "new", reason,
      }),
    });
  }

  #ask(question) {
    const dialog = byId("confirm");
    if (dialog.open) return;
    const form = this.#form(question, dialog);
    dialog.replaceChildren(form.element);
    dialog.showModal();
    form.reason.select();
  }

  #form(question, dialog) {
    const reason = el("input", { id: "confirm-reason", maxlength: 200, required: true, value: question.reason });
    const sends = el("div", { id: "confirm-sends", class: "sends", tabindex: "0", role: "region", "aria-label": "What will be sent" });
    const error = el("p", { class: "error", role: "alert" });
    const go = el("button", { type: "submit", class: "danger", id: "confirm-go" }, question.confirm);
    const cancel = el("button", { type: "button", id: "confirm-cancel", click: () => dialog.close() }, "Cancel");
    const choices = choiceSet(question.choices);
    const show = () => setText(request, requestText(question, reason.value, choices?.chosen()));
    const request = el("code", { id: "confirm-request", class: "request" });
    const element = el(
      "form",
      { class: "confirm", submit: (event) => this.#send(event, { question, reason, choices, error, go, dialog }), input: show },
      el("h2", { id: "confirm-title" }, question.title),
      el("p", { class: "mode-word" }, this.#model.replica.mode.toUpperCase()),
      choices?.element ?? null,
      question.preview ? sends : null,
      question.note ? el("p", {}, question.note) : null,
      el("label", { for: "confirm-reason" }, "Reason, kept in the journal"),
      reason,
      el("p", { class: "muted" }, "The page sends ", request),
      error,
      el("div", { class: "buttons" }, go, cancel),
    );
    show();
    if (question.preview) fillPreview(question, sends, go);
    return { element, reason };
  }

  async #previewExits(query) {
    const { items } = await this.#api.get(`/exit-preview${query}`);
    if (!items.length) return [el("p", {}, "Nothing is under watch: no order is sent.")];
    const orders = items.reduce((sum, item) => sum + item.orders.length, 0);
    return [
      el("p", {}, ordersText(orders)),
      el("ul", {}, ...items.map(previewItem)),
      el("p", { class: "muted" }, "Sized and priced again at the moment of sending."),
    ];
  }

  async #send(event, { question, reason, choices, error, go, dialog }) {
    event.preventDefault();
    go.disabled = true;
    setText(error, "");
    try {
      const answer = await this.#api.post(question.path, question.body(reason.value, choices?.chosen()));
      dialog.close();
      setText(byId("said"), `${question.title} ${answer.code ? words(answer.code) : "done"}`);
    } catch (failure) {
      if (!(failure instanceof CallFailed)) throw failure;
      go.disabled = false;
      setText(error, failureText(failure));
    }
  }
}

function failureText(failure) {
  if (failure.code !== "unreachable") return `Not done: ${failure.message}`;
  return "The engine did not answer; it may have been done. Asking again closes nothing twice.";
}

async function fillPreview(question, sends, go) {
  go.disabled = true;
  sends.replaceChildren(el("p", {}, "Asking the engine what it would send…"));
  try {
    sends.replaceChildren(...(await question.preview()));
  } catch (failure) {
    if (!(failure instanceof CallFailed)) throw failure;
    const text = `What would be sent cannot be shown (${failure.message}). The exit can be asked for all the same.`;
    sends.replaceChildren(el("p", { class: "error" }, text));
  }
  go.disabled = false;
}

function ordersText(count) {
  if (count === 0) return "No order leaves now:";
  return count === 1 ? "1 order leaves now:" : `${whole(count)} orders leave now:`;
}

function previewItem(item) {
  const held = `${words(item.side)} ${whole(item.open_quantity)}`;
  const lines = item.orders.map((order) => el("li", { class: "figure" }, orderText(order)));
  return el(
    "li",
    { "data-tracker": item.tracker_id },
    el("strong", {}, item.trading_symbol),
    ` ${held}`,
    lines.length ? el("ul", {}, ...lines) : null,
    item.why ? el("p", { class: "muted" }, item.why) : null,
  );
}

function orderText(order) {
  const head = `${order.side} ${whole(order.quantity)}`;
  if (order.limit_price !== null) {
    return `${head} ${order.order_type} at ${price(order.limit_price)}`;
  }
  if (order.order_type === "MARKET") return `${head} MARKET`;
  return `${head} ${order.order_type}, priced when it leaves: no fresh price now`;
}

function requestText(question, reason, choice) {
  return `POST /api/v1${question.path} ${JSON.stringify(question.body(reason, choice))}`;
}

function choiceSet(choices) {
  if (!choices) return null;
  const inputs = choices.map(([value], place) =>
    el("input", { type: "radio", name: "choice", value, id: `choice-${value}`, checked: place === 0 }),
  );
  const lines = choices.map(([value, text], place) =>
    el("div", { class: "choice" }, inputs[place], el("label", { for: `choice-${value}` }, text)),
  );
  const element = el("fieldset", {}, el("legend", {}, "What"), ...lines);
  return { element, chosen: () => inputs.find((input) => input.checked).value };
}
