// One question at a time, in a dialog: what will be sent, why, and only then the call.

import { CallFailed, newKey } from "../api.js";
import { byId, el, setText } from "../dom.js";
import { words } from "../format.js";

const UNSEEN = "unseen"; // said where what would be sent could not be shown

export class Confirmation {
  #api;
  #model;
  #dialog = byId("confirm");

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
  }

  /**
   * Ask. A question has `title`, `reason` (a first proposal), `confirm` (the button), `path` and
   * `body(reason, choice, ticket)` of the call, and may have `choices`, `note` and `preview()`.
   */
  ask(question) {
    if (this.#dialog.open) return;
    const parts = partsOf(question);
    parts.cancel.onclick = () => this.#dialog.close();
    parts.form.oninput = () => {
      parts.key = newKey(); // other words are another wish; the same ones are sent under one key
      showRequest(question, parts);
    };
    parts.form.onsubmit = (event) => {
      event.preventDefault();
      this.#send(question, parts);
    };
    setText(parts.mode, this.#model.replica.mode.toUpperCase());
    showRequest(question, parts);
    this.#dialog.replaceChildren(parts.form);
    this.#dialog.showModal();
    parts.reason.select();
    if (question.preview) fillPreview(question, parts);
  }

  async #send(question, parts) {
    parts.go.disabled = true;
    setText(parts.error, "");
    try {
      const answer = await this.#api.post(question.path, bodyOf(question, parts), parts.key);
      this.#dialog.close();
      setText(byId("said"), `${question.title} ${answer.code ? words(answer.code) : "done"}`);
    } catch (failure) {
      if (!(failure instanceof CallFailed)) throw failure;
      parts.go.disabled = false;
      setText(parts.error, failureText(failure));
      if (failure.code === "preview_stale") fillPreview(question, parts);
    }
  }
}

function partsOf(question) {
  const parts = {
    key: newKey(),
    ticket: UNSEEN,
    mode: el("p", { class: "mode-word" }),
    sends: el("div", {
      id: "confirm-sends", class: "sends", tabindex: "0", role: "region",
      "aria-label": "What will be sent",
    }),
    choices: (question.choices ?? []).map(choiceInput),
    reason: el("input", {
      id: "confirm-reason", maxlength: 200, required: true, value: question.reason,
    }),
    request: el("code", { id: "confirm-request" }),
    error: el("p", { class: "error", role: "alert" }),
    go: el("button", { type: "submit", class: "danger", id: "confirm-go" }, question.confirm),
    cancel: el("button", { type: "button", id: "confirm-cancel" }, "Cancel"),
  };
  parts.form = el(
    "form",
    { class: "confirm" },
    el("h2", { id: "confirm-title" }, question.title),
    parts.mode,
    question.choices ? choiceSet(question.choices, parts.choices) : null,
    question.preview ? parts.sends : null,
    question.note ? el("p", {}, question.note) : null,
    el("label", { for: "confirm-reason" }, "Reason, kept in the journal"),
    parts.reason,
    el("p", { class: "muted" }, "The page sends ", parts.request),
    parts.error,
    el("div", { class: "buttons" }, parts.go, parts.cancel),
  );
  return parts;
}

function choiceInput([value], place) {
  const checked = place === 0;
  return el("input", { type: "radio", name: "choice", value, id: `choice-${value}`, checked });
}

function choiceSet(choices, inputs) {
  const lines = choices.map(([value, text], place) =>
    el("div", { class: "choice" }, inputs[place], el("label", { for: `choice-${value}` }, text)),
  );
  return el("fieldset", {}, el("legend", {}, "What"), ...lines);
}

function bodyOf(question, parts) {
  const choice = parts.choices.find((input) => input.checked)?.value;
  return question.body(parts.reason.value, choice, parts.ticket);
}

function showRequest(question, parts) {
  const body = JSON.stringify(bodyOf(question, parts));
  setText(parts.request, `POST /api/v1${question.path} ${body}`);
}

/** An exit must be possible also where it cannot be shown what it would send. */
async function fillPreview(question, parts) {
  const { sends, go } = parts;
  go.disabled = true;
  parts.ticket = UNSEEN;
  sends.replaceChildren(el("p", {}, "Asking the engine what it would send…"));
  try {
    const { elements, ticket } = await question.preview();
    parts.ticket = ticket;
    sends.replaceChildren(...elements);
  } catch (failure) {
    if (!(failure instanceof CallFailed)) throw failure;
    const text =
      `What would be sent cannot be shown (${failure.message}). ` +
      "The exit can be asked for all the same.";
    sends.replaceChildren(el("p", { class: "error" }, text));
  }
  parts.key = newKey();
  showRequest(question, parts);
  go.disabled = false;
}

function failureText(failure) {
  if (failure.code !== "unreachable") return `Not done: ${failure.message}`;
  return "The engine did not answer; it may have been done. Asking again closes nothing twice.";
}
