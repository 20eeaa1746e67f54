// What a close of everything could not close, for nobody watches it: asked for at its end, and told
// until a person has seen it. The page shows what is under watch, so an empty page is no flat book.

import { CallFailed } from "../api.js";
import { whole, words } from "../format.js";

export class RemainsView {
  #api;
  #model;

  constructor(api, model) {
    this.#api = api;
    this.#model = model;
  }

  draw(changes) {
    const hasEnded = (fact) => fact.kind === "exit_all_ended" && fact.data.outcome === "closed";
    if (changes.facts.some(hasEnded)) this.#look();
  }

  async #look() {
    try {
      const { unknown_positions: unknown } = await this.#api.get("/exit-all");
      if (unknown === null) this.#tellUnread();
      else for (const held of unknown) this.#model.tell(textOf(held));
    } catch (failure) {
      if (!(failure instanceof CallFailed)) throw failure;
      this.#tellUnread();
    }
  }

  #tellUnread() {
    const known = "Everything under watch is closed.";
    this.#model.tell(`${known} What else the broker holds could not be read: look there.`);
  }
}

function textOf(held) {
  const name = `${held.trading_symbol || held.security_id} ${words(held.product_type)}`;
  const what = `${name} ${whole(held.net_quantity)}`;
  return `Still held at the broker, under no watch: ${what}; ${held.how}`;
}
