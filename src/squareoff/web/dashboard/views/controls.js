// Exit, exit all, halt and resume: what each asks, shows and sends. The asking is confirm.js.

import { Confirmation } from "./confirm.js";
import { previewOf, resumePreviewOf } from "./preview.js";

const HALT_CHOICES = [
  ["new", "No new entries: only exits are sent"],
  ["all", "Nothing at all: exits wait too, cancels still go"],
];
const RESUME_CHOICE = ["resume", "Resume: entries and exits are sent again"];

export class Controls {
  #api;
  #model;
  #confirmation;

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
    this.#confirmation = new Confirmation(api, model);
  }

  /** Ask, then close one position. */
  exit(trackerId) {
    const tracker = this.#model.replica.trackers.get(trackerId);
    const id = encodeURIComponent(trackerId);
    this.#confirmation.ask({
      title: `Exit ${tracker.instrument.trading_symbol}?`,
      reason: () => "exit by hand",
      confirm: "Exit this position",
      preview: () => previewOf(this.#api, `?tracker_id=${id}`),
      path: `/trackers/${id}/exit`,
      body: (reason) => ({ reason, wait: "claimed" }),
    });
  }

  /** Ask, then close everything. */
  exitAll() {
    this.#confirmation.ask({
      title: "Exit all positions?",
      isUrgent: true,
      reason: () => "exit all by hand",
      confirm: "Exit all",
      note:
        "Only what is under watch is closed. New entries are halted (level new) until somebody " +
        "resumes; resting entries are cancelled.",
      preview: () => previewOf(this.#api, ""),
      path: "/exit-all",
      body: (reason, _, ticket) => ({ reason, ticket }),
    });
  }

  /** Ask for a level, then set the kill switch. */
  halt() {
    const { active, level } = this.#model.replica.killSwitch;
    this.#confirmation.ask({
      title: active ? `Halted, level ${level}` : "Halt?",
      reason: (choice) => (choice === "resume" ? "resume by hand" : "halt by hand"),
      confirm: "Set it",
      choices: active ? [RESUME_CHOICE, ...HALT_CHOICES] : HALT_CHOICES,
      preview: active ? () => resumePreviewOf(this.#api) : undefined,
      mustBeShown: (choice) => choice === "resume",
      path: "/kill-switch",
      body: (reason, choice, ticket) => ({
        active: choice !== "resume", level: choice === "all" ? "all" : "new", reason,
        ...(choice === "resume" ? { ticket } : {}),
      }),
    });
  }
}
