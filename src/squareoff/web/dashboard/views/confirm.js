// One question at a time, in a dialog: what will be sent, why, and only then the call. What fails
// after its question was left is told on top of the page. A close of everything waits for no other
// question: it takes its place, or Enter after F6 would confirm what stood before.

import { CallFailed, newKey } from "../api.js";
import { byId, el, setText } from "../dom.js";
import { words } from "../format.js";

const UNSEEN = "unseen"; // said by a close of which it could not be shown what it would send
const OFFER = "The exit can be asked for all the same.";
const PREVIEW_MS_MAX = 2000; // a broker that hangs keeps nobody longer from asking for an exit

export class Confirmation {
  #api;
  #model;
  #dialog = byId("confirm");
  #isUrgent = false;

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
  }

  /**
   * Ask. A question has `title`, `reason(choice)` (a first proposal), `confirm` (the button),
   * `path` and `body(reason, choice, ticket)` of the call, and may have `choices`, `note`,
   * `preview()` and `mustBeShown(choice)`: what is not asked for before the preview was shown. A
   * close is. One that `isUrgent` takes the place of another.
   */
  ask(question) {
    if (this.#dialog.open) {
      if (!question.isUrgent || this.#isUrgent) return;
      this.#dialog.close();
    }
    this.#isUrgent = Boolean(question.isUrgent);
    const parts = partsOf(question);
    parts.cancel.onclick = () => this.#dialog.close();
    parts.form.oninput = () => {
      proposeReason(question, parts);
      parts.key = newKey(); // other words are another wish; the same ones are sent under one key
      showRequest(question, parts);
      allowGo(question, parts);
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
    parts.isSending = true;
    parts.sentKey = parts.key;
    allowGo(question, parts);
    setText(parts.error, "");
    try {
      const answer = await this.#api.post(question.path, bodyOf(question, parts), parts.key);
      if (this.#isShown(parts)) this.#dialog.close();
      setText(byId("said"), `${question.title} ${answer.code ? words(answer.code) : "done"}`);
    } catch (failure) {
      if (!(failure instanceof CallFailed)) throw failure;
      parts.isSending = false;
      allowGo(question, parts);
      setText(parts.error, failureText(failure));
      if (!this.#isShown(parts)) this.#model.tell(`${question.title} ${failureText(failure)}`);
      else if (failure.code === "preview_stale") fillPreview(question, parts);
    }
  }

  /** An answer may come after its question was left, and while another one stands. */
  #isShown(parts) {
    return this.#dialog.open && parts.form.isConnected;
  }
}

function partsOf(question) {
  const parts = {
    key: newKey(),
    ticket: null,
    sentKey: null,
    isSending: false,
    isLooking: false,
    mode: el("p", { class: "mode-word" }),
    sends: el("div", {
      id: "confirm-sends", class: "sends", tabindex: "0", role: "region",
      "aria-label": "What will be sent",
    }),
    choices: (question.choices ?? []).map(choiceInput),
    proposed: "",
    reason: el("input", { id: "confirm-reason", maxlength: 200, required: true }),
    request: el("code", { id: "confirm-request" }),
    error: el("p", { class: "error", role: "alert" }),
    go: el("button", { type: "submit", class: "danger", id: "confirm-go" }, question.confirm),
    cancel: el("button", { type: "button", id: "confirm-cancel" }, "Cancel"),
  };
  proposeReason(question, parts);
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

function choiceOf(parts) {
  return parts.choices.find((input) => input.checked)?.value;
}

/** Propose the reason of what is chosen, until a person has written one. */
function proposeReason(question, parts) {
  if (parts.reason.value !== parts.proposed) return;
  parts.proposed = question.reason(choiceOf(parts));
  parts.reason.value = parts.proposed;
}

function mustBeShown(question, parts) {
  return Boolean(question.mustBeShown?.(choiceOf(parts)));
}

function bodyOf(question, parts) {
  const unseen = mustBeShown(question, parts) ? undefined : UNSEEN;
  return question.body(parts.reason.value, choiceOf(parts), parts.ticket ?? unseen);
}

function allowGo(question, parts) {
  const isUnshown = parts.ticket === null && mustBeShown(question, parts);
  parts.go.disabled = parts.isSending || parts.isLooking || isUnshown;
}

function showRequest(question, parts) {
  const body = JSON.stringify(bodyOf(question, parts));
  setText(parts.request, `POST /api/v1${question.path} ${body}`);
}

async function fillPreview(question, parts) {
  const { sends } = parts;
  parts.isLooking = true;
  parts.ticket = null;
  parts.key = newKey();
  showRequest(question, parts);
  allowGo(question, parts);
  sends.replaceChildren(el("p", {}, "Asking the engine what it would send…"));
  const late = setTimeout(() => offerUnseen(question, parts), PREVIEW_MS_MAX);
  let found = { ticket: null };
  try {
    found = await question.preview();
    sends.replaceChildren(...found.elements);
  } catch (failure) {
    if (!(failure instanceof CallFailed)) throw failure;
    sends.replaceChildren(...unshownElements(question, parts, failure));
  }
  clearTimeout(late);
  if (parts.sentKey !== parts.key) parts.ticket = found.ticket; // what was sent stays what it was
  parts.isLooking = false;
  showRequest(question, parts);
  allowGo(question, parts);
}

/** Let an exit be asked for while the engine still looks what it would send. */
function offerUnseen(question, parts) {
  if (question.mustBeShown) return;
  const text = "The engine has not said yet what it would send.";
  parts.sends.replaceChildren(el("p", { class: "error" }, `${text} ${OFFER}`));
  parts.isLooking = false;
  allowGo(question, parts);
}

/** An exit must be possible also where it cannot be shown what it would send; nothing else is. */
function unshownElements(question, parts, failure) {
  const text = `What would be sent cannot be shown (${failure.message}).`;
  if (!question.mustBeShown) {
    return [el("p", { class: "error" }, `${text} ${OFFER}`)];
  }
  const again = el("button", { type: "button" }, "Ask again");
  again.onclick = () => fillPreview(question, parts);
  return [el("p", { class: "error" }, `${text} It has to be looked at first.`), again];
}

function failureText(failure) {
  if (failure.code !== "unreachable") return `Not done: ${failure.message}`;
  return "The engine did not answer; it may have been done. Asking again closes nothing twice.";
}
